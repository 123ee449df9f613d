// A file that is still being downloaded: FILE.part holds the bytes, FILE.part.json says which of them have arrived. Both
// outlive the process. FILE.part.lock keeps a second process away.
import { createHash } from 'node:crypto';
import { constants, createReadStream, readFileSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { explainWriteError, fileErrorCode } from '../shared/file-errors.js';
import { writeWhole } from '../shared/temporary-files.js';
import { acquireLock, isLockHeld } from './lock-file.js';

export interface Content {
  size: number;
  sha256: string;
}

export interface Segment {
  start: number;
  length: number;
  /** Bytes that have arrived, counted from its start. */
  done: number;
}

interface State extends Content {
  version: 1;
  segmentBytes: number;
  done: number[];
}

const SAVE_EVERY_MS = 2000;

export const partialNames = (target: string) => ({
  part: `${target}.part`,
  state: `${target}.part.json`,
  lock: `${target}.part.lock`,
});

export class PartialFile {
  readonly segments: Segment[];
  #savedAt = performance.now();
  #saving: Promise<void> | undefined;

  private constructor(
    private readonly target: string,
    private readonly content: Content,
    private readonly segmentBytes: number,
    private readonly handle: FileHandle,
    private readonly unlock: () => Promise<void>,
    done: readonly number[],
  ) {
    this.segments = layOut(content.size, segmentBytes).map((segment, index) => ({
      ...segment,
      done: done[index] ?? 0,
    }));
  }

  /**
   * Goes on with what an earlier process left, if that was the same content.
   * @throws ImageForgeError BUSY while another process downloads it, NO_SPACE, OUTPUT_UNWRITABLE.
   */
  static async open(target: string, content: Content, segmentBytes: number): Promise<PartialFile> {
    const names = partialNames(target);
    await explainFailure(target, () => mkdir(path.dirname(target), { recursive: true }));
    const unlock = await explainFailure(target, () => acquireLock(names.lock));
    let handle: FileHandle | undefined;
    try {
      const done = readState(names.state, content, segmentBytes);
      return await explainFailure(target, async () => {
        handle = await open(names.part, constants.O_RDWR | constants.O_CREAT);
        const { size } = await handle.stat();
        const known = size === content.size ? done : undefined;
        if (!known) await handle.truncate(0);
        await handle.truncate(content.size);
        return new PartialFile(target, content, segmentBytes, handle, unlock, known ?? []);
      });
    } catch (error) {
      await handle?.close();
      await unlock();
      throw error;
    }
  }

  get received(): number {
    return this.segments.reduce((sum, { done }) => sum + done, 0);
  }

  get isComplete(): boolean {
    return this.received === this.content.size;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    await explainFailure(this.target, async () => {
      for (let offset = 0; offset < bytes.length; ) {
        const { bytesWritten } = await this.handle.write(
          bytes,
          offset,
          bytes.length - offset,
          position + offset,
        );
        offset += bytesWritten;
      }
    });
    this.#mark(position, position + bytes.length);
    if (performance.now() - this.#savedAt > SAVE_EVERY_MS) await this.save();
  }

  /** Writes down what has arrived. That is on the disk by then, so the record holds even after a power cut. */
  save(): Promise<void> {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  /** The sha256 of the whole content. */
  async hash(signal: AbortSignal | undefined, onBytes: (count: number) => void): Promise<string> {
    const hash = createHash('sha256');
    const { part } = partialNames(this.target);
    await pipeline(
      createReadStream(part, { highWaterMark: 2 ** 20 }),
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) {
          hash.update(chunk);
          onBytes(chunk.length);
        }
      },
      { signal },
    );
    return hash.digest('hex');
  }

  /** Throws away what has arrived: the next try starts from zero. */
  async reset(): Promise<void> {
    for (const segment of this.segments) segment.done = 0;
    await this.save();
    await explainFailure(this.target, async () => {
      await this.handle.truncate(0);
      await this.handle.truncate(this.content.size);
    });
  }

  /** Gives the complete file its name. */
  async finish(): Promise<void> {
    const { part, state } = partialNames(this.target);
    try {
      await explainFailure(this.target, async () => {
        await this.handle.sync();
        await this.handle.close();
        await rename(part, this.target);
        await rm(state, { force: true });
      });
    } finally {
      await this.handle.close();
      await this.unlock();
    }
  }

  /** Keeps what has arrived for the next time. */
  async suspend(): Promise<void> {
    try {
      await this.save();
    } finally {
      await this.handle.close();
      await this.unlock();
    }
  }

  #mark(from: number, to: number): void {
    for (const segment of this.segments) {
      const { start, length, done } = segment;
      if (to <= start || from > start + done) continue;
      segment.done = Math.max(done, Math.min(length, to - start));
    }
  }

  async #save(): Promise<void> {
    const { size, sha256 } = this.content;
    const done = this.segments.map((segment) => segment.done);
    const state: State = { version: 1, size, sha256, segmentBytes: this.segmentBytes, done };
    const { state: name } = partialNames(this.target);
    await explainFailure(this.target, async () => {
      await this.handle.datasync();
      await writeWhole(name, Buffer.from(JSON.stringify(state)));
    });
    this.#savedAt = performance.now();
  }
}

/** Bytes of a file that an earlier download brought. */
export function countArrived(target: string, content: Content, segmentBytes: number): number {
  return readState(partialNames(target).state, content, segmentBytes)?.reduce((sum, done) => sum + done) ?? 0;
}

/** Is another process downloading it? */
export function isLocked(target: string): boolean {
  return isLockHeld(partialNames(target).lock);
}

const HINTS = {
  full: 'Free some space, or set IMAGEFORGE_MODEL_DIR to a folder that has more.',
  unwritable: 'Set IMAGEFORGE_MODEL_DIR to a folder that you may write to.',
};

/** Errors of the file system become errors about the folder of `target`; all others stay as they are. */
export async function explainFailure<T>(target: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (fileErrorCode(error) === undefined) throw error;
    throw explainWriteError(error, { folder: path.dirname(target) }, HINTS);
  }
}

function layOut(size: number, segmentBytes: number): Segment[] {
  return Array.from({ length: Math.ceil(size / segmentBytes) }, (_, index) => ({
    start: index * segmentBytes,
    length: Math.min(segmentBytes, size - index * segmentBytes),
    done: 0,
  }));
}

/** Bytes that have arrived of each segment; undefined if there is no record that fits. */
function readState(file: string, content: Content, segmentBytes: number): number[] | undefined {
  try {
    const {
      version,
      size,
      sha256,
      segmentBytes: found,
      done,
    } = JSON.parse(readFileSync(file, 'utf8')) as State;
    const segments = layOut(content.size, segmentBytes);
    const fits =
      version === 1 &&
      size === content.size &&
      sha256 === content.sha256 &&
      found === segmentBytes &&
      Array.isArray(done) &&
      done.length === segments.length &&
      done.every((count, index) => Number.isInteger(count) && count >= 0 && count <= segments[index]!.length);
    return fits ? done : undefined;
  } catch {
    return undefined;
  }
}
