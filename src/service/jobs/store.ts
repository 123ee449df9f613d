// Every request that a server works on, as a job. The result of a kept job stays available for a while, even if its client
// has left. All server doors start their work here.
import { ImageForgeError } from '../../shared/errors.js';
import type { JobResult } from '../answers/results.js';
import type { JobRequest } from '../request/parse.js';
import { Job, type JobOptions, type Work } from './job.js';
import type { RunControls } from './run-controls.js';
import { readResult, requireSurvivable, type SavedJob, type SavedJobs } from './saved-jobs.js';

/** Does the work; the service in practice. */
export interface Runner {
  /** How many requests may wait. */
  readonly queueLimit: number;
  run(request: JobRequest, controls: RunControls): Promise<JobResult>;
}

export interface JobTotals {
  done: number;
  failed: number;
  cancelled: number;
  images: number;
  cached: number;
  /** Total over all jobs that succeeded. */
  seconds: number;
}

export interface JobStoreOptions {
  /** Where kept jobs are saved for the next start. Default: nowhere. */
  saved?: SavedJobs;
  /** How many ended jobs stay available, and how many bytes their pictures may have together. */
  maxKept?: number;
  maxBytes?: number;
}

export class JobStore {
  readonly #runner: Runner;
  readonly #saved: SavedJobs | undefined;
  readonly #maxKept: number;
  readonly #maxBytes: number;
  readonly #jobs = new Map<string, Job>();
  readonly #unlisted = new Set<Job>();
  readonly totals: JobTotals = { done: 0, failed: 0, cancelled: 0, images: 0, cached: 0, seconds: 0 };

  constructor(runner: Runner, { saved, maxKept = 256, maxBytes = 2 ** 27 }: JobStoreOptions = {}) {
    this.#runner = runner;
    this.#saved = saved;
    this.#maxKept = maxKept;
    this.#maxBytes = maxBytes;
  }

  /** @throws ImageForgeError QUEUE_FULL before anything is read for the request. */
  start<A extends JobRequest>(request: A, options: JobOptions = {}): Job<A> {
    this.#requireRoom();
    const job = new Job((controls) => this.#runner.run(request, controls), request, options);
    this.#add(job);
    return job;
  }

  /** Makes the job available by its id from now on. Resolves once the end of the program would no longer lose it. */
  async keep(job: Job): Promise<void> {
    this.#unlisted.delete(job);
    this.#jobs.set(job.id, job);
    await this.#saved?.keep(job);
  }

  /** Resumes a job of an earlier server. @throws ImageForgeError QUEUE_FULL. */
  resume(saved: SavedJob): Job {
    const { request, result } = saved;
    this.#requireRoom();
    const work: Work = async (controls) => {
      requireSurvivable(saved);
      return result ? readResult(result) : this.#runner.run(request, controls);
    };
    const job = new Job(work, request, {}, saved);
    this.#jobs.set(job.id, job);
    this.#add(job);
    void this.#saved?.keep(job, saved.begun);
    return job;
  }

  /** Ends the job within a step. The next server will not resume it. */
  async cancel(job: Job): Promise<void> {
    job.cancel();
    await job.ended;
    await this.#saved?.flush(job);
  }

  /** Before the service closes: suspends the jobs that the next server will find, so that closing does not fail them. */
  suspend(): void {
    for (const job of this.active()) job.suspended = this.#saved?.has(job) === true;
  }

  /** As get(), but also takes over and resumes a job that a dead server left. @throws ImageForgeError NOT_FOUND. */
  async find(id: string): Promise<Job> {
    const left = this.#jobs.has(id) ? undefined : await this.#saved?.take(id);
    return left ? this.resume(left) : this.get(id);
  }

  /** @throws ImageForgeError NOT_FOUND. */
  get(id: string): Job {
    const job = this.#jobs.get(id);
    if (job) return job;
    throw new ImageForgeError('NOT_FOUND', `There is no job ${id.slice(0, 64)}.`, {
      hint: `Only the last ${this.#maxKept} jobs are kept.`,
    });
  }

  /** Waiting and running jobs, oldest first. */
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

  /** Mean seconds per job, an estimate of when a full queue has room again. */
  meanSeconds(): number {
    return this.totals.done === 0 ? 1 : this.totals.seconds / this.totals.done;
  }

  /** Requests in preparation count too, since pictures are decoded before a request joins the queue. */
  #requireRoom(): void {
    const limit = this.#runner.queueLimit;
    if (this.countActive() <= limit) return;
    throw new ImageForgeError('QUEUE_FULL', `${limit} requests are already waiting, the most allowed.`, {
      hint: 'Try again later, or raise QUEUE_LIMIT.',
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
