// A running generation.
import type { Progress } from '../pipeline/types.js';
import type { GenerationResult } from './result.js';

/** A generation under way: iterate it for progress, await it for the result, in either order or both. */
export class GenerationRun implements PromiseLike<GenerationResult>, AsyncIterable<Progress> {
  readonly #result: Promise<GenerationResult>;
  readonly #seen: Progress[] = [];
  #wake: () => void = () => {};
  #next: Promise<void>;
  #ended = false;

  /** @internal Made by ImageForge. */
  constructor(work: (onProgress: (progress: Progress) => void) => Promise<GenerationResult>) {
    this.#next = this.#renew();
    this.#result = work((progress) => {
      this.#seen.push(progress);
      this.#notify();
    }).finally(() => {
      this.#ended = true;
      this.#notify();
    });
  }

  /** As of a promise: what `await` uses. */
  // biome-ignore lint/suspicious/noThenProperty: a run is awaited like the promise it wraps
  then<A = GenerationResult, B = never>(
    onFulfilled?: ((value: GenerationResult) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(onFulfilled, onRejected);
  }

  /** As of a promise. */
  catch<B = never>(
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<GenerationResult | B> {
    return this.#result.catch(onRejected);
  }

  /** As of a promise. */
  finally(onFinally?: (() => void) | null): Promise<GenerationResult> {
    return this.#result.finally(onFinally);
  }

  /** Progress from the beginning; throws what the run rejects with. Leaving the loop early does not cancel the run. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Progress, void, undefined> {
    // the loop below reports the error
    this.#result.catch(() => undefined);
    for (let at = 0; ; at++) {
      while (at >= this.#seen.length && !this.#ended) await this.#next;
      if (at >= this.#seen.length) break;
      yield this.#seen[at]!;
    }
    await this.#result;
  }

  #notify(): void {
    this.#wake();
    this.#next = this.#renew();
  }

  #renew(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
