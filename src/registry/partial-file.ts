// A file that is still arriving: FILE.part holds the bytes, FILE.part.json which of them are there. Both outlive the
// process; FILE.part.lock keeps a second process away.
import { createHash } from 'node:crypto';
import { constants, createReadStream, readFileSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ImageForgeError } from '../shared/errors.js';

export interface Content {
  size: number;
  sha256: string;
}

export interface Segment {
  start: number;
  length: number;
  /** Bytes from its start on that have arrived. */
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
    done: readonly number[],
  ) {
    this.segments = layOut(content.size, segmentBytes).map((segment, index) => ({
      ...segment,
      done: done[index] ?? 0,
    }));
  }

  /**
   * Goes on with what an earlier process left, if that was the same content.
   * @throws ImageForgeError BUSY while another process has it open, NO_SPACE, OUTPUT_UNWRITABLE.
   */
  static async open(target: string, content: Content, segmentBytes: number): Promise<PartialFile> {
    const names = partialNames(target);
    await explainFailure(target, () => mkdir(path.dirname(target), { recursive: true }));
    await explainFailure(target, () => lock(names.lock));
    let handle: FileHandle | undefined;
    try {
      const done = readState(names.state, content, segmentBytes);
      return await explainFailure(target, async () => {
        handle = await open(names.part, constants.O_RDWR | constants.O_CREAT);
        const { size } = await handle.stat();
        const known = size === content.size ? done : undefined;
        if (!known) await handle.truncate(0);
        await handle.truncate(content.size);
        return new PartialFile(target, content, segmentBytes, handle, known ?? []);
      });
    } catch (error) {
      await handle?.close();
      await unlock(names.lock);
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

  /** What the state says is on the disk then, also after a power cut. */
  save(): Promise<void> {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  /** The sha256 of all bytes. */
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

  /** Nothing of it can be used: the next try starts from zero. */
  async reset(): Promise<void> {
    for (const segment of this.segments) segment.done = 0;
    await this.save();
    await explainFailure(this.target, async () => {
      await this.handle.truncate(0);
      await this.handle.truncate(this.content.size);
    });
  }

  /** The whole file takes its name at once. */
  async finish(): Promise<void> {
    const { part, state, lock } = partialNames(this.target);
    try {
      await explainFailure(this.target, async () => {
        await this.handle.sync();
        await this.handle.close();
        await rename(part, this.target);
        await rm(state, { force: true });
      });
    } finally {
      await this.handle.close();
      await unlock(lock);
    }
  }

  /** Keeps what has arrived for the next time. */
  async suspend(): Promise<void> {
    try {
      await this.save();
    } finally {
      await this.handle.close();
      await unlock(partialNames(this.target).lock);
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
      await writeFile(`${name}.new`, JSON.stringify(state));
      await rename(`${name}.new`, name);
    });
    this.#savedAt = performance.now();
  }
}

/** Bytes of a file that have arrived before. */
export function countArrived(target: string, content: Content, segmentBytes: number): number {
  return readState(partialNames(target).state, content, segmentBytes)?.reduce((sum, done) => sum + done) ?? 0;
}

/** Is another process downloading it? */
export function isLocked(target: string): boolean {
  return readOwner(partialNames(target).lock)?.isAlive ?? false;
}

/** A file system's error in the words of this project. */
export async function explainFailure<T>(target: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (error instanceof ImageForgeError || code === '') throw error;
    const folder = path.dirname(target);
    const isFull = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code);
    const reason = { ENOSPC: 'the disk is full', EDQUOT: 'the quota is used up', EFBIG: 'a file size limit' };
    throw new ImageForgeError(
      isFull ? 'NO_SPACE' : 'OUTPUT_UNWRITABLE',
      `Cannot write to ${folder}: ${reason[code as keyof typeof reason] ?? code}.`,
      {
        hint: isFull
          ? 'Free some space, or set IMAGEFORGE_MODEL_DIR to a folder that has more.'
          : 'Set IMAGEFORGE_MODEL_DIR to a folder that you may write to.',
        details: { folder, code },
        cause: error,
      },
    );
  }
}

function layOut(size: number, segmentBytes: number): Segment[] {
  return Array.from({ length: Math.ceil(size / segmentBytes) }, (_, index) => ({
    start: index * segmentBytes,
    length: Math.min(segmentBytes, size - index * segmentBytes),
    done: 0,
  }));
}

/** Bytes done of each segment; undefined where nothing usable was left. */
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

/** Locks of this process: another one may have died with the same number. */
const held = new Set<string>();

/** One process at a time; the lock of one that has died is taken over. */
async function lock(file: string): Promise<void> {
  for (const isLastTry of [false, true]) {
    try {
      await writeFile(file, `${process.pid} ${hostname()}`, { flag: 'wx' });
      held.add(file);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const owner = readOwner(file);
      if (isLastTry || owner?.isAlive) {
        throw new ImageForgeError('BUSY', `Process ${owner?.name ?? '?'} is downloading the same file.`, {
          hint: `Wait for it. If there is no such process, delete ${file}.`,
          details: { file },
        });
      }
      await rm(file, { force: true });
    }
  }
}

async function unlock(file: string): Promise<void> {
  held.delete(file);
  await rm(file, { force: true });
}

function readOwner(file: string): { name: string; isAlive: boolean } | undefined {
  try {
    const [pid, host] = readFileSync(file, 'utf8').split(' ');
    const isOurs = Number(pid) === process.pid;
    const isAlive = host !== hostname() || (isOurs ? held.has(file) : isRunning(Number(pid)));
    return { name: `${pid} on ${host}`, isAlive };
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
