// Reads the bytes of tensors that aren't weights of a network: scales, notes, a tokenizer.
import { type FileHandle, open } from 'node:fs/promises';
import { ImageForgeError } from '../shared/errors.js';
import { unreadable } from './byte-reader.js';
import { invalid } from './check-tensors.js';

export interface Place {
  path: string;
  /** Bytes from the start of the file. */
  offset: number;
  bytes: number;
}

/** Reads the places in their order, and opens each file once. The caller bounds their sizes. */
export async function readBytes(places: readonly Place[]): Promise<Buffer[]> {
  const files = new Map<string, FileHandle>();
  const found: Buffer[] = [];
  try {
    for (const { path, offset, bytes } of places) {
      const file = files.get(path) ?? (await open(path, 'r'));
      files.set(path, file);
      const data = Buffer.alloc(bytes);
      const { bytesRead } = await file.read(data, 0, bytes, offset);
      if (bytesRead !== bytes) throw invalid(path, 'the file is shorter than its header says');
      found.push(data);
    }
  } catch (error) {
    throw error instanceof ImageForgeError ? error : unreadable(places[found.length]!.path, error);
  } finally {
    for (const file of files.values()) await file.close();
  }
  return found;
}
