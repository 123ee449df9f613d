// Writes GGUF files as a stream: the header is laid out first, then each tensor's bytes follow as they are made, so
// that memory stays at the size of one chunk. The file appears under its name only when it is complete.
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { ImageForgeError } from '../shared/errors.js';

/** Value of a metadata key with the GGUF type it is written as. */
export type GgufValue =
  | { type: 'u32' | 'f32'; value: number }
  | { type: 'u64'; value: bigint }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string };

export interface GgufTensor {
  name: string;
  /** ggml type name in lower case. */
  type: string;
  /** PyTorch order, slowest dimension first. */
  shape: number[];
  bytes: number;
}

const alignment = 32;
const valueTypes = { u32: 4, f32: 6, bool: 7, string: 8, u64: 10 } as const;

/** Numbers of the types that are written, as in ggml.h. */
const tensorTypes: Record<string, number> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q2_k: 10,
  q3_k: 11,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  bf16: 30,
};

/** Types that writeGguf can write. */
export const writableTypes: readonly string[] = Object.keys(tensorTypes);

/**
 * Writes `path` (version 3, little endian, alignment 32). `read` gives a tensor's bytes in order, in chunks of any
 * size; a wrong total is an INTERNAL error and leaves no file behind.
 */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
  read: (tensor: GgufTensor) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const partial = `${path}.partial-${process.pid}`;
  const file = await open(partial, 'wx');
  try {
    await writeAll(file, encodeHeader(metadata, tensors));
    for (const tensor of tensors) {
      let written = 0;
      for await (const chunk of read(tensor)) {
        await writeAll(file, chunk);
        written += chunk.byteLength;
      }
      if (written !== tensor.bytes) {
        throw new ImageForgeError(
          'INTERNAL',
          `tensor ${tensor.name} should have ${tensor.bytes} bytes, but ${written} were given`,
        );
      }
      await writeAll(file, new Uint8Array(padding(written)));
    }
    await file.sync();
    await file.close();
    await rename(partial, path);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(partial, { force: true });
    throw error;
  }
}

function encodeHeader(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, entry] of metadata)
    parts.push(string(key), u32(valueTypes[entry.type]), encodeValue(entry));
  let offset = 0;
  for (const { name, type, shape, bytes } of tensors) {
    const number = tensorTypes[type];
    if (number === undefined) {
      throw new ImageForgeError(
        'UNSUPPORTED',
        `tensor ${name}: type ${type} can't be written; possible are ${writableTypes.join(', ')}`,
      );
    }
    parts.push(string(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(number), u64(offset));
    offset += bytes + padding(bytes);
  }
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
  return Buffer.concat([...parts, new Uint8Array(padding(length))]);
}

function encodeValue(entry: GgufValue): Uint8Array {
  switch (entry.type) {
    case 'u32':
      return u32(entry.value);
    case 'u64':
      return u64(entry.value);
    case 'bool':
      return Uint8Array.of(entry.value ? 1 : 0);
    case 'string':
      return string(entry.value);
    case 'f32': {
      const bytes = Buffer.alloc(4);
      bytes.writeFloatLE(entry.value);
      return bytes;
    }
  }
}

function padding(bytes: number): number {
  return (alignment - (bytes % alignment)) % alignment;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.byteLength), bytes]);
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    done += (await file.write(bytes, done)).bytesWritten;
  }
}
