// Small weight files for tests, built byte by byte so that any field can be wrong.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'imageforge-weights-'));
let files = 0;

export function writeTemporary(bytes: Uint8Array, extension = 'bin'): string {
  const path = join(folder, `${files++}.${extension}`);
  writeFileSync(path, bytes);
  return path;
}

/** `header` is an object or the JSON text itself. */
export function safetensors(header: Record<string, unknown> | string, data: Uint8Array): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

export interface GgufEntry {
  name: string;
  /** ggml's order, fastest first. */
  dimensions: (number | bigint)[];
  type: number;
  offset: number | bigint;
}

/** Value of a metadata key as its type number and its bytes. */
export type GgufField = [key: string, type: number, value: Buffer];

export function gguf(tensors: GgufEntry[], data: Uint8Array, fields: GgufField[] = [], version = 3): Buffer {
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(version),
    u64(tensors.length),
    u64(fields.length),
    ...fields.flatMap(([key, type, value]) => [text(key), u32(type), value]),
    ...tensors.flatMap(({ name, dimensions, type, offset }) => [
      text(name),
      u32(dimensions.length),
      ...dimensions.map(u64),
      u32(type),
      u64(offset),
    ]),
  ]);
  return Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), data]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

export function text(value: string): Buffer {
  return Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
}

export function array(type: number, values: Buffer[]): Buffer {
  return Buffer.concat([u32(type), u64(values.length), ...values]);
}
