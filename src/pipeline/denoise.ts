// The denoiser that samplers call: network, guidance and parametrization in one, asked to stop between two passes.

import type { Conditioning, Denoiser } from '../native/addon.js';
import { type Denoise, type NoiseLevels, type Prediction, toDenoise } from '../sampling/index.js';
import { throwIfAborted } from './abort.js';
import { requireFinite } from './check.js';
import { guide } from './guidance.js';

export interface DenoiseOptions {
  denoiser: Denoiser;
  /** Positive, and negative where guidance needs it. */
  conditionings: Conditioning[];
  guidance: number;
  /** [channels, rows, columns] of a latent. */
  shape: number[];
  prediction: Prediction;
  levels: NoiseLevels;
  signal: AbortSignal | undefined;
}

export function createDenoise(options: DenoiseOptions): Denoise {
  const { denoiser, conditionings, guidance, shape, prediction, levels, signal } = options;
  const denoise = toDenoise(
    async (data, timestep) => {
      throwIfAborted(signal);
      const [positive, negative] = await denoiser.predict({ data, shape }, timestep, conditionings);
      return guide(positive!.data, negative?.data, guidance);
    },
    prediction,
    levels,
  );
  return async (x, sigma) => {
    const denoised = await denoise(x, sigma);
    requireFinite(denoised, sigma);
    return denoised;
  };
}
