// The denoiser that samplers call: the network, guidance and the parametrization in one function. It checks for an abort
// before each forward pass.

import type { Conditioning, Denoiser } from '../native/addon.js';
import { type Denoise, type NoiseLevels, type Prediction, toDenoise } from '../sampling/index.js';
import { throwIfAborted } from './abort.js';
import { requireFinite } from './check.js';
import { type Steering, withResiduals } from './control.js';
import { guide } from './guidance.js';

export interface DenoiseOptions {
  denoiser: Denoiser;
  /** The positive one, then the negative one if guidance needs it. */
  conditionings: Conditioning[];
  guidance: number;
  /** [channels, rows, columns] of a latent. */
  shape: number[];
  prediction: Prediction;
  levels: NoiseLevels;
  steering?: Steering | undefined;
  signal: AbortSignal | undefined;
}

export function createDenoise(options: DenoiseOptions): Denoise {
  const { denoiser, conditionings, guidance, shape, prediction, levels, steering, signal } = options;
  const denoise = toDenoise(
    async (data, timestep, sigma) => {
      throwIfAborted(signal);
      const latent = { data, shape };
      const [positive, negative] = await withResiduals(steering, latent, timestep, sigma, (residuals) =>
        denoiser.predict(latent, timestep, conditionings, residuals),
      );
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
