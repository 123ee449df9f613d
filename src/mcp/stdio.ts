// MCP over stdin and stdout. Only the protocol may reach stdout, whatever libraries print.
import path from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import type { ImageService } from '../service/image-service.js';
import { SavedJobs } from '../service/jobs/saved-jobs.js';
import { JobStore } from '../service/jobs/store.js';
import { LIMITS } from '../shared/limits.js';
import type { Logger } from '../shared/log.js';
import { createMcpFactory } from './server.js';

/** Room for two pictures in base64 and the other fields. */
const MAX_MESSAGE = 2 * LIMITS.pictureLength + 2 ** 20;
/** Added to the grace period, for stopping the engine and sending the last answers. */
const ENDING_MS = 2500;
/** Time from the end of a job to its answer, in which the preview is made. */
const ANSWER_MS = 300;

/** Redirects everything printed to stderr from now on. Only the returned stream reaches the real stdout. */
export function claimStdout(): Writable {
  const write = process.stdout.write.bind(process.stdout);
  const claimed = new Writable({
    write: (chunk: Uint8Array, _encoding, done) => void write(chunk, (error) => done(error ?? null)),
  });
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  return claimed;
}

export interface StdioOptions {
  stdout: Writable;
  logger: Logger;
  signal: AbortSignal;
  /** How long running jobs may take to finish and be answered after the signal. */
  graceMs: number;
}

/**
 * Serves until the client closes stdin or the signal fires, then closes the service. Unfinished jobs resume in the next
 * server that is asked for them.
 */
export async function runStdio(
  service: ImageService,
  { stdout, logger, signal, graceMs }: StdioOptions,
): Promise<void> {
  const saved = new SavedJobs({ folder: path.join(service.config.cacheDir, 'jobs', 'stdio'), logger });
  const jobs = new JobStore(service, { saved });
  const transport = new StdioServerTransport(process.stdin, stdout, { maxBufferSize: MAX_MESSAGE });
  const handle = serveStdio(createMcpFactory(service, jobs), {
    transport,
    onerror: (error) => logger.warn({ error }, 'MCP connection'),
  });
  const gone = new Promise<void>((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve);
    stdout.once('error', () => resolve());
  });
  const told = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  await Promise.race([gone, told]);
  setTimeout(() => process.exit(), graceMs + ENDING_MS).unref();
  jobs.suspend();
  if (signal.aborted) await Promise.race([gone, finish(service, jobs, graceMs)]);
  await handle.close().catch(() => undefined);
  const ended = jobs.active().map((job) => job.ended);
  await service.close();
  await Promise.all(ended);
  await saved.release();
}

/** Lets running jobs finish and their answers go out. */
async function finish(service: ImageService, jobs: JobStore, graceMs: number): Promise<void> {
  const ended = jobs.active().map((job) => job.ended);
  await service.close(graceMs);
  await Promise.all(ended);
  await wait(ANSWER_MS);
}
