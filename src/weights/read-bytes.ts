// Reads the bytes of tensors that are no weights of a network: scales, marks, a tokenizer.
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

/** In the order of the places, each file opened once; the caller bounds their sizes. */
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
