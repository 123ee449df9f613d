// A job is a request that can be watched, waited for and cancelled.
import { randomUUID } from 'node:crypto';
import type { Phase, Progress } from '../../pipeline/types.js';
import { ImageForgeError, type SerializedError } from '../../shared/errors.js';
import type { JobResult } from '../answers/results.js';
import { makePreview } from '../pictures/codec.js';
import type { OutputTarget } from '../pictures/outputs.js';
import { countImages, type JobRequest } from '../request/parse.js';
import type { RunControls } from './run-controls.js';

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
  /** Cancels the job when it fires: the client that waited for it has gone. */
  signal?: AbortSignal | undefined;
  priority?: number;
  save?: OutputTarget;
}

/** What identifies a job across a restart. */
export interface JobIdentity {
  id: string;
  createdAt: string;
  lastEvent: number;
}

/** What a job does: a run of the service or, after a restart, reading the result it already had. */
export type Work = (controls: RunControls) => Promise<JobResult>;

const PREVIEW = { side: 512, bytes: 100_000 };

export class Job<A extends JobRequest = JobRequest> {
  readonly id: string;
  readonly createdAt: Date;
  readonly request: A;
  /** Settles when the job has ended in any way; never rejects. */
  readonly ended: Promise<void>;
  /** All events so far, except that only the last preview is kept. */
  readonly history: NumberedEvent[] = [];
  state: JobState = 'queued';
  /** Place in the queue, 1 = next; null before it is known and once the job runs. */
  position: number | null = null;
  startedAt: Date | null = null;
  endedAt: Date | null = null;
  progress: Omit<Progress, 'preview'> | null = null;
  preview: JobPreview | null = null;
  result: JobResult<A> | null = null;
  error: ImageForgeError | null = null;
  /** The job resumes after a restart, so the end of the program does not fail it. */
  suspended = false;
  readonly #controller = new AbortController();
  readonly #listeners = new Set<(event: NumberedEvent) => void>();
  #nextId: number;

  constructor(work: Work, request: A, { signal, priority, save }: JobOptions, before?: JobIdentity) {
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

  /** How many pictures the job makes. */
  get batch(): number {
    return countImages(this.request);
  }

  get active(): boolean {
    return this.endedAt === null;
  }

  /** Takes effect within a step. Does nothing to a job that has ended. */
  cancel(): void {
    this.#controller.abort();
  }

  /** Waits for the result. @throws the ImageForgeError that the job failed with. */
  async wait(): Promise<JobResult<A>> {
    await this.ended;
    if (this.error) throw this.error;
    return this.result!;
  }

  /** Calls the listener with every event from now on. Returns a function that unsubscribes it. */
  subscribe(listener: (event: NumberedEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Bytes of the finished pictures that the job keeps in memory. */
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
      this.error = new ImageForgeError(
        'CLOSED',
        'The server is shutting down; the job resumes at its next start.',
        {
          hint: `Ask for job ${this.id} then.`,
        },
      );
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
