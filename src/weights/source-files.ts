// Reads the files that a conversion is made from: hashes them, copies bytes of them, counts, and stops when it is asked to.
import { createHash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { ImageForgeError } from '../shared/errors.js';
import { unreadable } from './byte-reader.js';
import { invalid } from './check-tensors.js';

export interface ConvertProgress {
  phase: 'hash' | 'convert';
  /** Bytes of the source. */
  done: number;
  total: number;
}

export interface Watch {
  signal?: AbortSignal;
  onProgress?: (progress: ConvertProgress) => void;
}

/** Reads places of files through one buffer. */
export class SourceReader {
  readonly #handles = new Map<string, FileHandle>();
  #buffer = new Uint8Array(0);
  #done = 0;

  constructor(
    private readonly total: number,
    private readonly watch: Watch,
  ) {}

  /** The bytes are valid until the next call. */
  async read(file: string, offset: number, length: number): Promise<Uint8Array> {
    throwIfAborted(this.watch.signal);
    let handle = this.#handles.get(file);
    if (!handle) {
      handle = await openSource(file);
      this.#handles.set(file, handle);
    }
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await handle.read(this.#buffer, done, length - done, offset + done);
      if (bytesRead === 0) throw invalid(file, 'the file is shorter than its header says');
      done += bytesRead;
    }
    this.count(length);
    return this.#buffer.subarray(0, length);
  }

  /** Reports bytes as done, and lets others run. */
  count(bytes: number): void {
    throwIfAborted(this.watch.signal);
    this.#done += bytes;
    this.watch.onProgress?.({ phase: 'convert', done: this.#done, total: this.total });
  }

  async close(): Promise<void> {
    for (const handle of this.#handles.values()) await handle.close();
  }
}

export async function hashFiles(files: readonly string[], { signal, onProgress }: Watch): Promise<string[]> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const buffer = new Uint8Array(1 << 20);
  const hashes: string[] = [];
  let done = 0;
  for (const file of files) {
    const handle = await openSource(file);
    try {
      const hash = createHash('sha256');
      for (;;) {
        throwIfAborted(signal);
        const { bytesRead } = await handle.read(buffer, 0, buffer.length);
        if (bytesRead === 0) break;
        hash.update(buffer.subarray(0, bytesRead));
        done += bytesRead;
        onProgress?.({ phase: 'hash', done, total });
      }
      hashes.push(hash.digest('hex'));
    } finally {
      await handle.close();
    }
  }
  return hashes;
}

async function openSource(file: string): Promise<FileHandle> {
  return open(file, 'r').catch((error) => {
    throw unreadable(file, error);
  });
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ImageForgeError('ABORTED', 'The conversion was cancelled.');
}
