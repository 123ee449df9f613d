// The tensor table: what every weight-file reader gives and every family reads.

export interface TensorInfo {
  name: string;
  /** ggml's type name in lower case ("f16", "q4_k", "bf16"), or "f8_e4m3", "f8_e5m2", "f64", "i64", … */
  type: string;
  /** PyTorch order, slowest dimension first. */
  shape: number[];
  /** A quantised kernel [out, in, k, k] whose values lie as [out, k · k, in]: see kernel-order.ts. */
  tapsFirst?: true;
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
