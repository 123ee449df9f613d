// Downloads one file in parallel ranges, resumes where an earlier attempt broke off, and gives the file its name only
// when its sha256 is the expected one.
import { ImageForgeError } from '../shared/errors.js';
import {
  describeNetworkError,
  failed,
  type HubAccess,
  requestHub,
  STALL_MS,
  Temporary,
} from './hub-request.js';
import { type Content, PartialFile, type Segment } from './partial-file.js';
import { type RetryOptions, retry } from './retry.js';

export interface DownloadSource extends Content {
  url: string;
  repo: string;
  path: string;
}

export interface DownloadProgress {
  phase: 'download' | 'verify';
  /** Bytes that have been downloaded, or verified. */
  bytes: number;
  size: number;
}

export interface DownloadOptions extends RetryOptions {
  access: HubAccess;
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  connections?: number;
  segmentBytes?: number;
}

export const SEGMENT_BYTES = 32 * 2 ** 20;
const CONNECTIONS = 4;
/** Bytes that a connection must bring before it breaks to count as progress. */
const MIN_PROGRESS = 2 ** 16;

/** The server ignores ranges and sends the whole file. */
class RangesIgnored extends Error {}

/**
 * Downloads and verifies the file, and places it at `target`. On failure or abort the bytes that have arrived are kept
 * for the next call.
 * @throws ImageForgeError DOWNLOAD_FAILED, UNAUTHORIZED, FORBIDDEN, NO_SPACE, OUTPUT_UNWRITABLE, BUSY, ABORTED.
 */
export async function downloadFile(
  source: DownloadSource,
  target: string,
  options: DownloadOptions,
): Promise<void> {
  const { signal, segmentBytes = SEGMENT_BYTES } = options;
  const partial = await PartialFile.open(target, source, segmentBytes);
  try {
    const wasResumed = partial.received > 0;
    await receive(source, partial, options);
    let found = await verify(source, partial, options);
    if (found !== source.sha256 && wasResumed) {
      // the wrong bytes may be from an earlier run
      await partial.reset();
      await receive(source, partial, options);
      found = await verify(source, partial, options);
    }
    if (found !== source.sha256) {
      await partial.reset();
      throw failed(
        `${nameOf(source)}: expected content with sha256 ${source.sha256}, found ${found}; it was thrown away.`,
        { hint: 'Run the same command again; if that does not help, check HF_ENDPOINT and the proxy.' },
      );
    }
  } catch (error) {
    await partial.suspend();
    if (!signal?.aborted) throw error;
    throw new ImageForgeError('ABORTED', 'The download was cancelled; what has arrived is kept.', {
      hint: 'Run the same command again to go on.',
      cause: error,
    });
  }
  await partial.finish();
}

async function receive(
  source: DownloadSource,
  partial: PartialFile,
  options: DownloadOptions,
): Promise<void> {
  report(source, partial, options);
  try {
    await receiveRanges(source, partial, options);
  } catch (error) {
    if (!(error instanceof RangesIgnored)) throw error;
    await receiveWhole(source, partial, options);
  }
}

async function receiveRanges(
  source: DownloadSource,
  partial: PartialFile,
  options: DownloadOptions,
): Promise<void> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const open = partial.segments.filter(({ done, length }) => done < length);
  const work = async () => {
    for (let segment = open.shift(); segment; segment = open.shift()) {
      const current = segment;
      const counter = countProgress(() => current.done);
      // a server may send less than the requested range and say so
      while (current.done < current.length) {
        await retry(
          () => receiveRange(source, partial, current, { ...options, signal }),
          { ...options, signal },
          counter,
        );
      }
    }
  };
  const workers = Array.from({ length: Math.min(options.connections ?? CONNECTIONS, open.length) }, work);
  // the first failure stops the others and is the one to report
  for (const worker of workers) worker.catch((error) => stop.abort(error));
  await Promise.allSettled(workers);
  options.signal?.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
}

async function receiveRange(
  source: DownloadSource,
  partial: PartialFile,
  segment: Segment,
  options: DownloadOptions,
) {
  const first = segment.start + segment.done;
  const last = segment.start + segment.length - 1;
  const response = await request(source, options, { range: `bytes=${first}-${last}` });
  const isAll = first === 0 && last === source.size - 1;
  let sent = last;
  try {
    if (response.status === 200 && !isAll) throw new RangesIgnored();
    if (response.status !== 200) sent = requireRange(response, source, first, last);
  } catch (error) {
    await response.body?.cancel();
    throw error;
  }
  await receiveBody(response, source, partial, { first, last: sent }, options);
}

/** For servers without ranges: a broken connection means starting over. */
async function receiveWhole(
  source: DownloadSource,
  partial: PartialFile,
  options: DownloadOptions,
): Promise<void> {
  const attempt = async () => {
    const response = await request(source, options, {});
    if (response.status !== 200) {
      await response.body?.cancel();
      throw failed(`${nameOf(source)}: expected the whole file, found an answer ${response.status}.`);
    }
    await receiveBody(response, source, partial, { first: 0, last: source.size - 1 }, options);
  };
  await retry(
    attempt,
    options,
    countProgress(() => partial.received),
  );
}

function request(
  source: DownloadSource,
  { access, signal }: DownloadOptions,
  headers: Record<string, string>,
) {
  return requestHub(source.url, { headers, signal, what: nameOf(source), repo: source.repo }, access);
}

async function receiveBody(
  response: Response,
  source: DownloadSource,
  partial: PartialFile,
  { first, last }: { first: number; last: number },
  options: DownloadOptions,
): Promise<void> {
  const { signal, access } = options;
  const problem = describeWrongBody(response, last + 1 - first);
  if (problem !== undefined) {
    await response.body?.cancel();
    throw failed(`${nameOf(source)}: ${problem}.`, {
      hint: 'Check HF_ENDPOINT, and that no proxy changes what it passes on.',
    });
  }
  const chunks = readChunks(response, access.stallMs ?? STALL_MS, signal);
  let position = first;
  for await (const chunk of chunks) {
    if (position + chunk.length > last + 1) {
      if (response.status === 206) throw new RangesIgnored();
      throw failed(`${nameOf(source)}: expected ${last + 1 - first} bytes, found more.`);
    }
    await partial.write(chunk, position);
    position += chunk.length;
    report(source, partial, options);
  }
  if (position <= last) {
    throw new Temporary(
      `${nameOf(source)}: expected ${last + 1 - first} bytes, found ${position - first} before the connection ended`,
    );
  }
}

/** Yields the body's chunks. A broken or silent connection throws Temporary; time spent writing to disk does not count. */
async function* readChunks(
  response: Response,
  stallMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { value, done } = await readBefore(reader, stallMs);
      if (done) return;
      yield value;
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof Temporary) throw error;
    throw new Temporary(`the connection broke: ${describeNetworkError(error)}`, 0, { cause: error });
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function readBefore(reader: ReadableStreamDefaultReader<Uint8Array>, stallMs: number) {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Temporary('the connection fell silent')), stallMs);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Recognises a body that cannot be the file, such as a login page. */
function describeWrongBody({ headers }: Response, expected: number): string | undefined {
  const encoding = headers.get('content-encoding');
  if (encoding !== null && encoding !== 'identity')
    return `expected the file as it is, found it as ${encoding}`;
  const length = headers.get('content-length');
  if (length === null || Number(length) === expected) return undefined;
  return `expected ${expected} bytes, found ${length} of type ${headers.get('content-type') ?? 'unknown'}`;
}

/** Position of the last byte that the server sends. */
function requireRange(response: Response, source: DownloadSource, first: number, last: number): number {
  const found = response.headers.get('content-range') ?? '';
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(found);
  const sent = Number(match?.[2]);
  if (!match || Number(match[1]) !== first || sent < first || sent > last) throw new RangesIgnored();
  if (match[3] !== '*' && Number(match[3]) !== source.size) {
    throw failed(`${nameOf(source)}: expected a file of ${source.size} bytes, found one of ${match[3]}.`, {
      hint: 'It was replaced on the hub just now: run the same command again.',
    });
  }
  return sent;
}

async function verify(source: DownloadSource, partial: PartialFile, { signal, onProgress }: DownloadOptions) {
  let bytes = 0;
  return partial.hash(signal, (count) => {
    bytes += count;
    onProgress?.({ phase: 'verify', bytes, size: source.size });
  });
}

function countProgress(measure: () => number): () => boolean {
  let before = measure();
  return () => {
    const now = measure();
    const hasProgress = now - before >= MIN_PROGRESS;
    if (hasProgress) before = now;
    return hasProgress;
  };
}

function report({ size }: DownloadSource, partial: PartialFile, { onProgress }: DownloadOptions): void {
  onProgress?.({ phase: 'download', bytes: partial.received, size });
}

function nameOf({ repo, path }: DownloadSource): string {
  return `${repo}/${path}`;
}
