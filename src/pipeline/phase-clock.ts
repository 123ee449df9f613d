// Reports where a run is, for progress bars, and measures how long each phase took, for sidecars.
import type { Pixels } from '../native/addon.js';
import type { Phase, PipelineResult, Progress } from './types.js';

export class PhaseClock {
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #seconds: PipelineResult['seconds'] = { load: 0, encode: 0, denoise: 0, decode: 0, upscale: 0 };
  #at: Progress | undefined;
  #since = 0;

  constructor(onProgress: ((progress: Progress) => void) | undefined) {
    this.#onProgress = onProgress;
  }

  /** `steps` is the number of steps that the phase has for this picture. */
  enter(phase: Phase, image = 0, steps = 1): void {
    this.#stop();
    this.#at = { phase, image, step: 0, steps };
    this.#onProgress?.(this.#at);
  }

  /** One more step is done. */
  step(preview: Pixels | undefined): void {
    this.#at = { ...this.#at!, step: this.#at!.step + 1 };
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
