// Writes GGUF files as a stream: the header is laid out first, then each tensor's bytes follow as they are made, so
// that memory stays at the size of one chunk. The file appears under its name only when it is complete.
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { nameTemporary, placeNew } from '../shared/temporary-files.js';
import { ggmlTypeNames } from './tensor-types.js';

/** The value of a metadata key, with the GGUF type that it is written as. */
export type GgufValue =
  | { type: 'u32' | 'f32'; value: number }
  | { type: 'u64'; value: bigint }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | { type: 'i32s'; value: readonly number[] }
  /** Type and value as another GGUF file has them (readRawMetadata). */
  | { type: 'raw'; value: Uint8Array };

export interface GgufTensor {
  name: string;
  /** ggml type name in lower case. */
  type: string;
  /** PyTorch order, slowest dimension first. */
  shape: number[];
  bytes: number;
}

const alignment = 32;
const valueTypes = { u32: 4, f32: 6, bool: 7, string: 8, u64: 10, i32s: 9 } as const;
const i32Type = 5;

/** By ggml's name. */
const tensorTypes: ReadonlyMap<string, number> = new Map(
  [...ggmlTypeNames].map(([number, name]) => [name, number]),
);

/**
 * Writes `path` (version 3, little endian, alignment 32). `read` gives a tensor's bytes in order, in chunks of any
 * size; a wrong total is an INTERNAL error and leaves no file behind. Without `replace` a file that got the name in the
 * meantime stays, and EEXIST is thrown.
 */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
  read: (tensor: GgufTensor) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { replace = true }: { replace?: boolean } = {},
): Promise<void> {
  const partial = nameTemporary(dirname(path));
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
    await place(partial, path, replace);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(partial, { force: true });
    throw error;
  }
}

async function place(partial: string, path: string, replace: boolean): Promise<void> {
  if (replace) await rename(partial, path);
  else if (!(await placeNew(partial, path)))
    throw Object.assign(new Error(`${path} exists`), { code: 'EEXIST' });
}

function encodeHeader(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, entry] of metadata) parts.push(string(key), encodeValue(entry));
  let offset = 0;
  for (const { name, type, shape, bytes } of tensors) {
    const number = tensorTypes.get(type);
    if (number === undefined)
      throw new ImageForgeError('UNSUPPORTED', `tensor ${name}: GGUF has no type ${type}`);
    parts.push(string(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(number), u64(offset));
    offset += bytes + padding(bytes);
  }
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
  return Buffer.concat([...parts, new Uint8Array(padding(length))]);
}

function encodeValue(entry: GgufValue): Uint8Array {
  if (entry.type === 'raw') return entry.value;
  return Buffer.concat([u32(valueTypes[entry.type]), encodeTyped(entry)]);
}

function encodeTyped(entry: Exclude<GgufValue, { type: 'raw' }>): Uint8Array {
  switch (entry.type) {
    case 'u32':
      return u32(entry.value);
    case 'u64':
      return u64(entry.value);
    case 'bool':
      return Uint8Array.of(entry.value ? 1 : 0);
    case 'string':
      return string(entry.value);
    case 'i32s':
      return Buffer.concat([
        u32(i32Type),
        u64(entry.value.length),
        Buffer.from(Int32Array.from(entry.value).buffer),
      ]);
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
