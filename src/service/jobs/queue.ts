// Runs one job at a time; the rest wait in a bounded queue and are told their place. Higher priority goes first. Among
// equals, a job for the model in memory may pass others, but only so many may pass any one job.
import { ImageForgeError } from '../../shared/errors.js';

export interface QueueOptions {
  /** How many jobs may wait. */
  limit: number;
  /** How many later jobs may pass a waiting one because their model is loaded. */
  maxPassed?: number;
}

export interface QueueEntry<T> {
  run(): Promise<T>;
  /** Jobs with the same affinity share a loaded model. */
  affinity: string;
  /** Higher first; 0 by default. */
  priority?: number | undefined;
  signal?: AbortSignal | undefined;
  /** 1 = next; called when the place changes. */
  onPosition?: ((position: number) => void) | undefined;
}

interface Waiting {
  readonly priority: number;
  readonly affinity: string;
  readonly onPosition: ((position: number) => void) | undefined;
  start(): Promise<void>;
  refuse(error: ImageForgeError): void;
  passed: number;
  position: number;
}

export class JobQueue {
  readonly #limit: number;
  readonly #maxPassed: number;
  /** In order of arrival. */
  #waiting: Waiting[] = [];
  #running = false;
  #affinity: string | undefined;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor({ limit, maxPassed = 8 }: QueueOptions) {
    this.#limit = limit;
    this.#maxPassed = maxPassed;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): boolean {
    return this.#running;
  }

  get limit(): number {
    return this.#limit;
  }

  /**
   * Runs the entry when its turn comes.
   * @throws ImageForgeError QUEUE_FULL at once, ABORTED when the signal fires while it waits, CLOSED after close().
   */
  add<T>({ run, affinity, priority = 0, signal, onPosition }: QueueEntry<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closed());
    if (signal?.aborted) return Promise.reject(aborted());
    if (this.#waiting.length >= this.#limit) return Promise.reject(this.#full());
    return new Promise<T>((resolve, reject) => {
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== entry);
        reject(aborted());
        this.#tellPositions();
      };
      const entry: Waiting = {
        priority,
        affinity,
        onPosition,
        passed: 0,
        position: 0,
        start: async () => {
          signal?.removeEventListener('abort', onAbort);
          await run().then(resolve, reject);
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(entry);
      this.#advance();
    });
  }

  /** Refuses waiting and new jobs. Resolves when the running job has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of this.#waiting.splice(0)) entry.refuse(closed());
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #advance(): void {
    if (this.#running) {
      this.#tellPositions();
      return;
    }
    const next = this.#order()[0];
    if (!next) {
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    const index = this.#waiting.indexOf(next);
    for (const passed of this.#waiting.slice(0, index))
      if (passed.priority === next.priority) passed.passed++;
    this.#waiting.splice(index, 1);
    this.#running = true;
    this.#affinity = next.affinity;
    this.#tellPositions();
    void next.start().finally(() => {
      this.#running = false;
      this.#advance();
    });
  }

  /** Waiting jobs, next first: by priority, then those passed too often, then the loaded model, then arrival. */
  #order(): Waiting[] {
    const rank = (entry: Waiting) =>
      entry.passed >= this.#maxPassed ? 2 : entry.affinity === this.#affinity ? 1 : 0;
    return this.#waiting.toSorted((a, b) => b.priority - a.priority || rank(b) - rank(a));
  }

  #tellPositions(): void {
    for (const [index, entry] of this.#order().entries()) {
      if (entry.position === index + 1) continue;
      entry.position = index + 1;
      entry.onPosition?.(index + 1);
    }
  }

  #full(): ImageForgeError {
    return new ImageForgeError(
      'QUEUE_FULL',
      `${this.#limit} requests are already waiting, the most allowed.`,
      {
        hint: 'Try again later, or raise QUEUE_LIMIT.',
        details: { limit: this.#limit },
      },
    );
  }
}

function aborted(): ImageForgeError {
  return new ImageForgeError('ABORTED', 'The request was cancelled while it waited.');
}

function closed(): ImageForgeError {
  return new ImageForgeError('CLOSED', 'The service is shutting down.');
}
