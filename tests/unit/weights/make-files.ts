// Makes small weight files for tests, byte by byte, so that any field can be wrong.
import { mkdtempSync, truncateSync, writeFileSync } from 'node:fs';
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
  /** In ggml's order, fastest dimension first. */
  dimensions: (number | bigint)[];
  type: number;
  offset: number | bigint;
}

/** A metadata value as its type number and bytes. */
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

/** Shapes by name, slowest dimension first. */
export type Shapes = Record<string, number[]>;

/** A safetensors file of F16 tensors with these shapes; the data is a hole. */
export function writeShapes(shapes: Shapes, path?: string, metadata?: Record<string, string>): string {
  const header: Record<string, object> = metadata ? { __metadata__: metadata } : {};
  let end = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const begin = end;
    end += shape.reduce((a, b) => a * b, 2);
    header[name] = { dtype: 'F16', shape, data_offsets: [begin, end] };
  }
  const bytes = safetensors(header, Buffer.alloc(0));
  const file = path ?? writeTemporary(Buffer.alloc(0), 'safetensors');
  writeFileSync(file, bytes);
  truncateSync(file, bytes.length + end);
  return file;
}

/** A tiny autoencoder under its author's names, with few channels inside. */
export function tinyAutoencoderShapes(latentChannels: number, width = 8): Shapes {
  const shapes: Shapes = {};
  const conv = (name: string, to: number, from: number, bias = true) => {
    shapes[`${name}.weight`] = [to, from, 3, 3];
    if (bias) shapes[`${name}.bias`] = [to];
  };
  const half = (
    name: string,
    ends: [number, number][],
    first: number,
    blocks: number[],
    resizes: number[],
  ) => {
    conv(`${name}.${first}`, ...ends[0]!);
    for (const place of blocks) for (const i of [0, 2, 4]) conv(`${name}.${place}.conv.${i}`, width, width);
    for (const place of resizes) conv(`${name}.${place}`, width, width, false);
    conv(`${name}.${Math.max(...blocks) + 1}`, ...ends[1]!);
  };
  const encoder: [number, number][] = [
    [width, 3],
    [latentChannels, width],
  ];
  half('encoder', encoder, 0, [1, 3, 4, 5, 7, 8, 9, 11, 12, 13], [2, 6, 10]);
  const decoder: [number, number][] = [
    [width, latentChannels],
    [3, width],
  ];
  half('decoder', decoder, 1, [3, 4, 5, 8, 9, 10, 13, 14, 15, 18], [7, 12, 17]);
  return shapes;
}
