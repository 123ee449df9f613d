// The tensor table: what every reader of weight files gives, and what every family reads.
import type { ScaleTable } from '../native/addon.js';

/** What the bytes of a tensor stand for. */
export interface TensorForm {
  /** ggml's type name in lower case ("f16", "q4_k", "bf16"), or "f8_e4m3", "f64", "i64", … (tensor-types.ts). */
  type: string;
  /** PyTorch order, slowest dimension first. */
  shape: number[];
  /** A quantised kernel [out, in, k, k] whose values lie as [out, k · k, in]: see kernel-order.ts. */
  tapsFirst?: true;
  /** Quantised blocks run on from row to row, and so many values of the first one belong to what lies before. */
  skip?: number;
  /** Every value is multiplied by this. */
  scale?: number;
  /** Every block of values is multiplied by its own factor. */
  scales?: Omit<ScaleTable, 'file'> & { path: string };
  /** ConvRot: groups of so many values of a row are rotated. */
  rotation?: number;
  /** What people call the storage, where that isn't the type: "NVFP4", "INT8 (ConvRot)". */
  storage?: string;
}

export interface TensorInfo extends TensorForm {
  name: string;
  /** Bytes from the start of the file. */
  offset: number;
  bytes: number;
}

export interface WeightFile {
  path: string;
  format: 'gguf' | 'safetensors';
  size: number;
  tensors: Map<string, TensorInfo>;
  /** GGUF key-values, or safetensors' __metadata__ (strings). Large arrays stay readable (tokenizers). */
  metadata: Map<string, MetadataValue>;
}

export type MetadataValue = string | number | bigint | boolean | MetadataValue[];
