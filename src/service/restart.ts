// Jobs that outlive the program: when it is told to end, those that wait or run are written to one file, and the next
// start runs them again under their ids.
import { randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '../shared/log.js';
import type { Job, JobStore } from './jobs.js';
import { makeFolder, writeTemporary } from './outputs.js';
import type { ImageRequest } from './requests.js';
import type { ImageResult } from './results.js';

export interface SavedJob {
  id: string;
  createdAt: string;
  /** Number of its last event: clients that come back with it hear the events after it. */
  lastEvent: number;
  request: ImageRequest;
  /** Of a job that ended while the program did; its pictures are read from their files. */
  result?: ImageResult;
}

export interface RestartOptions {
  folder: string;
  logger: Logger;
  /** Characters of all jobs together, pictures in their requests among them. */
  maxLength?: number;
}

const FORMAT = 1;
const NAME = /^jobs-[0-9a-f-]{36}\.json$/;

/**
 * Writes down every kept job that has not ended; from now on the service's end suspends it instead of failing it. The
 * returned function, called when all have ended, leaves in the file what the next start has to know.
 */
export async function suspendJobs(jobs: JobStore, options: RestartOptions): Promise<() => Promise<void>> {
  const { folder, logger, maxLength = 2 ** 27 } = options;
  const file = path.join(folder, `jobs-${randomUUID()}.json`);
  const suspended = takeWithin(
    jobs.active().filter((job) => jobs.isKept(job)),
    maxLength,
  );
  const lost = jobs.active().filter((job) => jobs.isKept(job) && !suspended.includes(job));
  if (lost.length > 0) logger.warn({ jobs: lost.length }, 'jobs too large to be kept for the next start');
  try {
    if (suspended.length > 0) await write(file, suspended.map(describe));
  } catch (error) {
    logger.error({ error, folder }, 'jobs could not be kept for the next start');
    return async () => undefined;
  }
  for (const job of suspended) job.suspend();
  return async () => {
    if (suspended.length === 0) return;
    const left = suspended.filter(({ state }) => state !== 'failed' && state !== 'cancelled');
    logger.info({ jobs: left.length }, 'jobs are kept for the next start');
    if (left.length > 0) await write(file, left.map(describe));
    else await rm(file, { force: true });
  };
}

/** Starts what the last end left. A file that cannot be read is named in the log and set aside. */
export async function resumeJobs(jobs: JobStore, { folder, logger }: RestartOptions): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const saved: SavedJob[] = [];
  for (const name of names.filter((candidate) => NAME.test(candidate))) {
    const taken = path.join(folder, `${name}.taken`);
    try {
      // another server on the same folder may be doing this now: one of us has the file
      await rename(path.join(folder, name), taken);
      saved.push(...parse(await readFile(taken, 'utf8')));
      await rm(taken, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        logger.error({ error, file: taken }, 'jobs of the last run cannot be read');
    }
  }
  saved.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
  for (const job of saved) {
    try {
      jobs.resume(job);
    } catch (error) {
      logger.warn({ job: job.id, error }, 'a job of the last run is not run again');
    }
  }
  if (saved.length > 0) logger.info({ jobs: saved.length }, 'jobs of the last run go on');
}

/** The pictures of a job that had ended before the restart. */
export async function readResult(result: ImageResult): Promise<ImageResult> {
  const read = async (image: ImageResult['images'][number]) => ({
    ...image,
    png: await readFile(image.path ?? ''),
  });
  const [first, ...rest] = result.images;
  return { ...result, images: [await read(first), ...(await Promise.all(rest.map(read)))] };
}

function takeWithin(jobs: readonly Job[], maxLength: number): Job[] {
  let left = maxLength;
  return jobs.filter((job) => {
    const length = stringify(describe(job)).length;
    if (length > left) return false;
    left -= length;
    return true;
  });
}

function describe({ id, createdAt, history, request, result }: Job): SavedJob {
  const lastEvent = history.at(-1)?.id ?? 0;
  return {
    id,
    createdAt: createdAt.toISOString(),
    lastEvent,
    request,
    ...(result && {
      result: {
        ...result,
        images: result.images.map((image) => ({ ...image, png: Buffer.alloc(0) })) as ImageResult['images'],
      },
    }),
  };
}

async function write(file: string, jobs: SavedJob[]): Promise<void> {
  const folder = path.dirname(file);
  await makeFolder(folder);
  const temporary = await writeTemporary(folder, Buffer.from(stringify({ format: FORMAT, jobs })));
  await rename(temporary, file);
}

function parse(text: string): SavedJob[] {
  const { format, jobs } = JSON.parse(text, (_key, value) =>
    typeof value?.base64 === 'string' && Object.keys(value).length === 1
      ? Buffer.from(value.base64, 'base64')
      : value,
  ) as { format: number; jobs: SavedJob[] };
  if (format !== FORMAT || !Array.isArray(jobs))
    throw new Error(`expected format ${FORMAT}, found ${format}`);
  return jobs;
}

/** JSON in which bytes are {"base64": …}. */
function stringify(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key: string, plain: unknown) {
    const found = this[key];
    return found instanceof Uint8Array ? { base64: Buffer.from(found).toString('base64') } : plain;
  });
}
