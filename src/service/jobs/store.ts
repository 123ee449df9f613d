// Every request that a server works on, as a job: it can be watched, waited for and cancelled, and its result is kept
// for a while when its client did not stay for it. All server doors start their work here.
import { randomUUID } from 'node:crypto';
import type { Phase, Progress } from '../../pipeline/types.js';
import { ImageForgeError, type SerializedError } from '../../shared/errors.js';
import type { ImageService, RunControls, SaveTarget } from '../image-service.js';
import { makePreview } from '../pictures/codec.js';
import { countImages, type JobRequest, type JobResult } from './job-types.js';
import { readResult, requireSurvivable, type SavedJob, type SavedJobs } from './saved-jobs.js';

export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

export interface JobPreview {
  image: number;
  step: number;
  mime: 'image/jpeg';
  data: Buffer;
}

export type JobEvent =
  | { type: 'queued'; position: number | null }
  | { type: 'phase'; phase: Phase; image: number }
  | { type: 'step'; image: number; step: number; steps: number }
  | ({ type: 'preview' } & JobPreview)
  | { type: 'done'; result: JobResult }
  | { type: 'failed'; error: SerializedError };

export interface NumberedEvent {
  id: number;
  event: JobEvent;
}

export interface JobOptions {
  /** Cancels it: the client that waits for it has gone. */
  signal?: AbortSignal | undefined;
  priority?: number;
  save?: SaveTarget;
}

export interface JobTotals {
  done: number;
  failed: number;
  cancelled: number;
  images: number;
  cached: number;
  /** Of all jobs that are done. */
  seconds: number;
}

/** What a job does: the service's run, or, after a restart, the result that it had. */
type Work = (controls: RunControls) => Promise<JobResult>;

const PREVIEW = { side: 512, bytes: 100_000 };

export class Job<A extends JobRequest = JobRequest> {
  readonly id: string;
  readonly createdAt: Date;
  readonly request: A;
  /** Settles when the job has ended in any way; never rejects. */
  readonly ended: Promise<void>;
  /** Everything that happened, but of the previews only the last one. */
  readonly history: NumberedEvent[] = [];
  state: JobState = 'queued';
  /** Place in the line, 1 = next; null before it is known and once it runs. */
  position: number | null = null;
  startedAt: Date | null = null;
  endedAt: Date | null = null;
  progress: Omit<Progress, 'preview'> | null = null;
  preview: JobPreview | null = null;
  result: JobResult<A> | null = null;
  error: ImageForgeError | null = null;
  /** It goes on after a restart: the program's end does not fail it. */
  suspended = false;
  readonly #controller = new AbortController();
  readonly #listeners = new Set<(event: NumberedEvent) => void>();
  #nextId: number;

  constructor(work: Work, request: A, { signal, priority, save }: JobOptions, before?: SavedJob) {
    this.request = request;
    this.id = before?.id ?? randomUUID();
    this.createdAt = before ? new Date(before.createdAt) : new Date();
    this.#nextId = (before?.lastEvent ?? 0) + 1;
    const cancel = () => this.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    this.#emit({ type: 'queued', position: null });
    this.ended = work({
      signal: this.#controller.signal,
      onPosition: (position) => this.#onPosition(position),
      onProgress: (progress) => this.#onProgress(progress),
      ...(priority !== undefined && { priority }),
      ...(save && { save }),
    })
      .then(
        (result) => this.#succeed(result),
        (error) => this.#fail(ImageForgeError.from(error)),
      )
      .finally(() => signal?.removeEventListener('abort', cancel));
    if (signal?.aborted) this.cancel();
  }

  /** Pictures that it makes. */
  get batch(): number {
    return countImages(this.request);
  }

  get active(): boolean {
    return this.endedAt === null;
  }

  /** Takes effect within a step; nothing happens to a job that has ended. */
  cancel(): void {
    this.#controller.abort();
  }

  /** @throws ImageForgeError that the job failed with. */
  async wait(): Promise<JobResult<A>> {
    await this.ended;
    if (this.error) throw this.error;
    return this.result!;
  }

  /** Calls the listener with what happens from now on; returns how to stop. */
  subscribe(listener: (event: NumberedEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Bytes of finished pictures that it holds. */
  get bytes(): number {
    return this.result?.images.reduce((sum, { png }) => sum + png.length, 0) ?? 0;
  }

  #onPosition(position: number): void {
    this.position = position;
    this.#emit({ type: 'queued', position });
  }

  #onProgress({ preview, ...progress }: Progress): void {
    const { phase, image, step, steps } = progress;
    const begins = this.progress?.phase !== phase || this.progress.image !== image;
    this.progress = progress;
    this.position = null;
    this.startedAt ??= new Date();
    this.state = 'running';
    if (begins) this.#emit({ type: 'phase', phase, image });
    if ((phase === 'denoise' || phase === 'upscale') && step > 0)
      this.#emit({ type: 'step', image, step, steps });
    if (preview) void this.#encodePreview(preview, image, step);
  }

  async #encodePreview(pixels: NonNullable<Progress['preview']>, image: number, step: number): Promise<void> {
    const made = await makePreview(pixels, PREVIEW).catch(() => undefined);
    if (!made || !this.active) return;
    this.preview = { image, step, mime: made.mime, data: made.data };
    const last = this.history.findIndex(({ event }) => event.type === 'preview');
    if (last >= 0) this.history.splice(last, 1);
    this.#emit({ type: 'preview', ...this.preview });
  }

  #succeed(result: JobResult): void {
    this.#end('done');
    this.result = result as JobResult<A>;
    this.#emit({ type: 'done', result });
  }

  #fail(error: ImageForgeError): void {
    if (this.suspended && error.code === 'CLOSED') {
      this.#end('queued');
      this.error = new ImageForgeError('CLOSED', 'The server is ending; the job goes on at its next start.', {
        hint: `Ask for job ${this.id} then.`,
      });
      this.#emit({ type: 'queued', position: null });
      return;
    }
    this.#end(error.code === 'ABORTED' ? 'cancelled' : 'failed');
    this.error = error;
    this.#emit({ type: 'failed', error: error.toJSON() });
  }

  #end(state: JobState): void {
    this.state = state;
    this.position = null;
    this.endedAt = new Date();
  }

  #emit(event: JobEvent): void {
    const numbered = { id: this.#nextId++, event };
    this.history.push(numbered);
    for (const listener of this.#listeners) listener(numbered);
  }
}

export interface JobStoreOptions {
  /** Where kept jobs are written down, for the next start. Default: nowhere. */
  saved?: SavedJobs;
  /** Ended jobs that are kept, and the bytes that their pictures may have together. */
  maxKept?: number;
  maxBytes?: number;
}

export class JobStore {
  readonly #service: ImageService;
  readonly #saved: SavedJobs | undefined;
  readonly #maxKept: number;
  readonly #maxBytes: number;
  readonly #jobs = new Map<string, Job>();
  readonly #unlisted = new Set<Job>();
  readonly totals: JobTotals = { done: 0, failed: 0, cancelled: 0, images: 0, cached: 0, seconds: 0 };

  constructor(service: ImageService, { saved, maxKept = 256, maxBytes = 2 ** 27 }: JobStoreOptions = {}) {
    this.#service = service;
    this.#saved = saved;
    this.#maxKept = maxKept;
    this.#maxBytes = maxBytes;
  }

  /** @throws ImageForgeError QUEUE_FULL before anything is read for the request. */
  start<A extends JobRequest>(request: A, options: JobOptions = {}): Job<A> {
    this.#requireRoom();
    const job = new Job((controls) => this.#service.run(request, controls), request, options);
    this.#add(job);
    return job;
  }

  /** Makes it findable by its id from now on; resolves when the end of the program would not lose it. */
  async keep(job: Job): Promise<void> {
    this.#unlisted.delete(job);
    this.#jobs.set(job.id, job);
    await this.#saved?.keep(job);
  }

  /** Goes on with a job of an earlier server. @throws ImageForgeError QUEUE_FULL. */
  resume(saved: SavedJob): Job {
    const { request, result } = saved;
    this.#requireRoom();
    const work: Work = async (controls) => {
      requireSurvivable(saved);
      return result ? readResult(result) : this.#service.run(request, controls);
    };
    const job = new Job(work, request, {}, saved);
    this.#jobs.set(job.id, job);
    this.#add(job);
    void this.#saved?.keep(job, saved.begun);
    return job;
  }

  /** Ends it within a step; the next server will not go on with it. */
  async cancel(job: Job): Promise<void> {
    job.cancel();
    await job.ended;
    await this.#saved?.flush(job);
  }

  /** The service's end suspends what the next server will find, instead of failing it. */
  suspend(): void {
    for (const job of this.active()) job.suspended = this.#saved?.has(job) === true;
  }

  /** As get(), and goes on with a job that a dead server left. @throws ImageForgeError NOT_FOUND. */
  async find(id: string): Promise<Job> {
    const left = this.#jobs.has(id) ? undefined : await this.#saved?.take(id);
    return left ? this.resume(left) : this.get(id);
  }

  /** @throws ImageForgeError NOT_FOUND. */
  get(id: string): Job {
    const job = this.#jobs.get(id);
    if (job) return job;
    throw new ImageForgeError('NOT_FOUND', `There is no job ${id.slice(0, 64)}.`, {
      hint: `The last ${this.#maxKept} jobs are kept.`,
    });
  }

  /** Jobs that wait or run, the oldest first. */
  active(): Job[] {
    return [...this.#jobs.values(), ...this.#unlisted]
      .filter((job) => job.active)
      .sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  }

  countActive(): number {
    let count = this.#unlisted.size;
    for (const job of this.#jobs.values()) if (job.active) count++;
    return count;
  }

  /** Mean seconds of a job: when a place in a full line is likely to become free. */
  meanSeconds(): number {
    return this.totals.done === 0 ? 1 : this.totals.seconds / this.totals.done;
  }

  /** What is being prepared counts too: pictures are decoded before a request joins the line. */
  #requireRoom(): void {
    const { limit } = this.#service.queue;
    if (this.countActive() <= limit) return;
    throw new ImageForgeError('QUEUE_FULL', `${limit} requests are waiting already, as many as may.`, {
      hint: 'Try again in a while, or raise QUEUE_LIMIT.',
      details: { limit },
    });
  }

  #add(job: Job): void {
    if (!this.#jobs.has(job.id)) this.#unlisted.add(job);
    void job.ended.then(() => this.#settle(job));
  }

  #settle(job: Job): void {
    this.#unlisted.delete(job);
    const { totals } = this;
    if (job.state === 'done' || job.state === 'failed' || job.state === 'cancelled') totals[job.state]++;
    if (job.result) {
      totals.images += job.result.images.length;
      totals.cached += job.result.cached ? 1 : 0;
      totals.seconds += job.result.elapsedSeconds;
    }
    const ended = [...this.#jobs.values()].filter(({ active }) => !active);
    let bytes = ended.reduce((sum, kept) => sum + kept.bytes, 0);
    for (let excess = ended.length - this.#maxKept; ended.length > 1; excess--) {
      if (excess <= 0 && bytes <= this.#maxBytes) break;
      const oldest = ended.shift()!;
      bytes -= oldest.bytes;
      this.#jobs.delete(oldest.id);
    }
  }
}
