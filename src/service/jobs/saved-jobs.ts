// Jobs that outlive their server, however it ends. Every kept job has a file from the time it is accepted until it has
// ended. When a server dies, a later one of the same kind takes over its jobs and resumes them.
//
//   CACHE_DIR/jobs/KIND/OWNER/ID.BEGUN.json
//
// OWNER is the server that holds the job; BEGUN counts how many servers have begun to draw it. A server takes a job over by
// renaming its file, and if several try, one wins.
import { randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ImageForgeError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import { hostLabel, isProcessAlive } from '../../shared/processes.js';
import { makeFolder, sweepTemporary, writeWhole } from '../../shared/temporary-files.js';
import type { JobResult } from '../answers/results.js';
import type { JobRequest } from '../request/parse.js';
import type { Job } from './job.js';

export interface SavedJob {
  id: string;
  createdAt: string;
  /** No event that clients have seen has a higher number, so those that reconnect get only events that are new to them. */
  lastEvent: number;
  request: JobRequest;
  /** Result of a job that ended during the shutdown. Its pictures are read from their files. */
  result?: JobResult;
  /** How many servers died while drawing it. */
  begun: number;
}

export interface SavedJobsOptions {
  folder: string;
  logger: Logger;
  /** Most characters for one job, including the pictures in its request. */
  maxLength?: number;
}

const FORMAT = 2;
const FILE = /^([0-9a-f-]{36})\.(\d+)\.json$/;
const OWNER = /^(.+)\.(\d+)\.[0-9a-f-]{36}$/;
/** Added to the event number in the file, which is not updated with every event: far more than any job sends. */
const MAX_EVENTS = 1e6;
/** A job during which this many servers died is not begun again. */
const MAX_BEGUN = 3;
/** Nobody can ask another machine whether its server is alive, so its jobs may be taken over after a day without a change. */
const FOREIGN_MS = 24 * 3600 * 1000;
/** Jobs that no server has taken over for this long are dropped. */
const FORGOTTEN_MS = 7 * FOREIGN_MS;

interface JobFile {
  name: string;
  /** Settles when its latest change is written. */
  written: Promise<void>;
}

/** The live owners in this process. */
const living = new Set<string>();

export class SavedJobs {
  readonly #folder: string;
  readonly #owner: string;
  readonly #logger: Logger;
  readonly #maxLength: number;
  /** The files of this server's jobs, with the pending writes of each. */
  readonly #files = new Map<string, JobFile>();

  constructor({ folder, logger, maxLength = 2 ** 27 }: SavedJobsOptions) {
    this.#folder = folder;
    this.#owner = `${hostLabel()}.${process.pid}.${randomUUID()}`;
    this.#logger = logger;
    this.#maxLength = maxLength;
    living.add(this.#owner);
  }

  /** Saves the job and follows it to its end. Resolves when the file is written, or cannot be. */
  keep(job: Job, begun = 0): Promise<void> {
    if (!this.#files.has(job.id))
      this.#files.set(job.id, { name: fileName(job.id, begun), written: Promise.resolve() });
    const kept = this.#then(job.id, async ({ name }) => {
      if (!job.active) return;
      const room = MAX_EVENTS + (job.history.at(-1)?.id ?? 0);
      await this.#write(name, { ...describe(job), lastEvent: room, begun });
    });
    const unsubscribe = job.subscribe(({ event }) => {
      if (event.type !== 'phase') return;
      unsubscribe();
      void this.#then(job.id, async (saved) => {
        const next = fileName(job.id, begun + 1);
        await rename(path.join(this.#own, saved.name), path.join(this.#own, next));
        saved.name = next;
      });
    });
    void job.ended.then(() => this.#settle(job));
    return kept;
  }

  /** Resolves when the file reflects the job's current state. */
  async flush({ id }: Job): Promise<void> {
    await this.#files.get(id)?.written;
  }

  /** Whether the next server would find the job. */
  has({ id }: Job): boolean {
    return this.#files.has(id);
  }

  /** Takes over all jobs that dead servers of this kind left, oldest first. */
  async takeAll(): Promise<SavedJob[]> {
    const taken: SavedJob[] = [];
    for (const [owner, names] of await this.#listLeft()) {
      for (const name of names) {
        const job = await this.#take(owner, name);
        if (job) taken.push(job);
      }
      await removeEmpty(path.join(this.#folder, owner));
    }
    return taken.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
  }

  /** Takes over the job with this id, if a dead server of this kind left it. */
  async take(id: string): Promise<SavedJob | undefined> {
    for (const [owner, names] of await this.#listLeft()) {
      const name = names.find((found) => FILE.exec(found)?.[1] === id);
      const job = name && (await this.#take(owner, name));
      if (!job) continue;
      await removeEmpty(path.join(this.#folder, owner));
      return job;
    }
    return undefined;
  }

  /** Waits for pending writes, then leaves all files to the next server. */
  async release(): Promise<void> {
    await Promise.all([...this.#files.values()].map(({ written }) => written));
    const left = [...this.#files.keys()];
    if (left.length > 0) this.#logger.info({ jobs: left.length }, 'jobs are kept for the next start');
    await rmdir(this.#own).catch(() => undefined);
    living.delete(this.#owner);
    await rename(this.#own, path.join(this.#folder, `${hostLabel()}.0.${randomUUID()}`)).catch(
      () => undefined,
    );
  }

  get #own(): string {
    return path.join(this.#folder, this.#owner);
  }

  async #settle(job: Job): Promise<void> {
    await this.#then(job.id, async ({ name }) => {
      const kept = job.suspended && job.state !== 'failed' && job.state !== 'cancelled';
      const last = fileName(job.id, 0);
      if (kept) await this.#write(last, { ...describe(job), begun: 0 });
      if (!kept || name !== last) await rm(path.join(this.#own, name), { force: true });
      if (!kept) this.#files.delete(job.id);
    });
  }

  /** Runs the steps for one job in order. A disk that cannot be written to does not stop the job. */
  #then(id: string, step: (saved: JobFile) => Promise<void>): Promise<void> {
    const saved = this.#files.get(id);
    if (!saved) return Promise.resolve();
    const work = async () => {
      if (this.#files.has(id)) await step(saved);
    };
    saved.written = saved.written.then(work).catch((error) => {
      this.#files.delete(id);
      this.#logger.warn({ job: id, error }, 'a job would be lost if the server ended now');
    });
    return saved.written;
  }

  async #write(name: string, job: SavedJob): Promise<void> {
    const text = stringify({ format: FORMAT, job });
    if (text.length > this.#maxLength)
      throw new ImageForgeError('TOO_LARGE', `${text.length} characters, more than ${this.#maxLength}`);
    await makeFolder(this.#own);
    await writeWhole(path.join(this.#own, name), Buffer.from(text));
  }

  /** Lists the job files that dead owners left. */
  async #listLeft(): Promise<[owner: string, names: string[]][]> {
    const left: [string, string[]][] = [];
    for (const owner of await readdir(this.#folder).catch(() => [])) {
      const folder = path.join(this.#folder, owner);
      const idleMs = Date.now() - ((await stat(folder).catch(() => undefined))?.mtimeMs ?? 0);
      if (isAlive(owner, idleMs)) continue;
      const names = (await readdir(folder).catch(() => [])).filter((name) => FILE.test(name));
      if (idleMs < FORGOTTEN_MS) left.push([owner, names]);
      else {
        this.#logger.warn({ jobs: names.length, owner }, 'dropped jobs that no server took over in a week');
        await rm(folder, { recursive: true, force: true });
      }
    }
    return left;
  }

  async #take(owner: string, name: string): Promise<SavedJob | undefined> {
    const file = path.join(this.#own, name);
    try {
      await makeFolder(this.#own);
      await rename(path.join(this.#folder, owner, name), file);
      // The owner died between two names of one job.
      if (this.#files.has(FILE.exec(name)![1]!)) {
        await rm(file, { force: true });
        return undefined;
      }
      const job = { ...parse(await readFile(file, 'utf8')), begun: Number(FILE.exec(name)![2]) };
      this.#files.set(job.id, { name, written: Promise.resolve() });
      return job;
    } catch (error) {
      // Another server of this kind took it first.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      this.#logger.error({ error, file }, 'a job of the last run cannot be read');
      await rename(file, `${file}.unreadable`).catch(() => undefined);
      return undefined;
    }
  }
}

/** Removes a dead server's folder, including its unfinished files. */
async function removeEmpty(folder: string): Promise<void> {
  await sweepTemporary(folder);
  await rmdir(folder).catch(() => undefined);
}

/** @throws ImageForgeError ENGINE_CRASHED for a job that no server has survived. */
export function requireSurvivable({ begun }: SavedJob): void {
  if (begun < MAX_BEGUN) return;
  throw new ImageForgeError('ENGINE_CRASHED', `The server died ${begun} times while drawing this picture.`, {
    hint: 'If nobody killed it, the system ran out of memory: try a smaller size or a more quantised model.',
  });
}

/** Reads the pictures of a job that had ended before the restart. */
export async function readResult(result: JobResult): Promise<JobResult> {
  const read = async ({ path: file }: JobResult['images'][number]) => readFile(file ?? '');
  const files = await Promise.all(result.images.map(read));
  return withPngs(result, (i) => files[i]!);
}

function withPngs(result: JobResult, png: (index: number) => Buffer): JobResult {
  const images = result.images.map((image, i) => ({ ...image, png: png(i) }));
  return { ...result, images } as JobResult;
}

/** If another process has the pid of a dead server, its jobs stay hidden. That is better than drawing a job twice. */
function isAlive(owner: string, idleMs: number): boolean {
  const [, host, id] = OWNER.exec(owner) ?? [];
  const pid = Number(id);
  if (host === undefined) return true;
  if (pid === 0) return false;
  if (host !== hostLabel()) return idleMs < FOREIGN_MS;
  if (pid === process.pid) return living.has(owner);
  return isProcessAlive(pid);
}

function fileName(id: string, begun: number): string {
  return `${id}.${begun}.json`;
}

function describe({ id, createdAt, history, request, result }: Job): Omit<SavedJob, 'begun'> {
  return {
    id,
    createdAt: createdAt.toISOString(),
    lastEvent: history.at(-1)?.id ?? 0,
    request,
    ...(result && {
      result: withPngs(result, () => Buffer.alloc(0)),
    }),
  };
}

function parse(text: string): SavedJob {
  const { format, job } = JSON.parse(text, (_key, value) =>
    typeof value?.base64 === 'string' && Object.keys(value).length === 1
      ? Buffer.from(value.base64, 'base64')
      : value,
  ) as { format: number; job: SavedJob };
  if (format !== FORMAT || typeof job?.id !== 'string')
    throw new Error(`expected format ${FORMAT}, found ${format}`);
  return job;
}

/** Writes bytes as {"base64": …}. */
function stringify(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key: string, plain: unknown) {
    const found = this[key];
    return found instanceof Uint8Array ? { base64: Buffer.from(found).toString('base64') } : plain;
  });
}
