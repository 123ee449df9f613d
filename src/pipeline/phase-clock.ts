// Reports where a run is, for progress bars, and measures how long each phase took, for sidecars.
import type { Pixels } from '../native/addon.js';
import type { Phase, PipelineResult, Progress } from './types.js';

export class PhaseClock {
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #seconds: PipelineResult['seconds'] = { load: 0, encode: 0, denoise: 0, decode: 0, upscale: 0 };
  #at: Progress | undefined;
  #since = 0;
  #pass = 1;
  #passes = 1;
  #done = 0;
  #total = 0;

  constructor(onProgress: ((progress: Progress) => void) | undefined) {
    this.#onProgress = onProgress;
  }

  /** The steps of the whole batch, one number for each pass. */
  expect(stepsOfPasses: readonly number[]): void {
    this.#passes = stepsOfPasses.length;
    this.#total = stepsOfPasses.reduce((sum, steps) => sum + steps, 0);
  }

  /** The steps to come belong to the next pass. */
  nextPass(): void {
    this.#pass++;
  }

  /** `steps` is how many the phase has for this picture. */
  enter(phase: Phase, image = 0, steps = 1): void {
    this.#stop();
    this.#at = {
      phase,
      image,
      step: 0,
      steps,
      pass: this.#pass,
      passes: this.#passes,
      done: this.#done,
      total: this.#total,
    };
    this.#onProgress?.(this.#at);
  }

  /** One more step is done. */
  step(preview: Pixels | undefined): void {
    const at = this.#at!;
    if (at.phase === 'denoise') this.#done++;
    this.#at = { ...at, step: at.step + 1, done: this.#done };
    this.#onProgress?.({ ...this.#at, ...(preview && { preview }) });
  }

  finish(): PipelineResult['seconds'] {
    this.#stop();
    this.#at = undefined;
    return this.#seconds;
  }

  #stop(): void {
    const now = performance.now();
    if (this.#at) this.#seconds[this.#at.phase] += (now - this.#since) / 1000;
    this.#since = now;
  }
}
