// The denoiser that samplers call: the network, guidance and the parametrization in one function. It checks for an abort
// before each forward pass.

import type { Conditioning, Denoiser } from '../native/addon.js';
import { type Denoise, type NoiseLevels, type Prediction, toDenoise } from '../sampling/index.js';
import { throwIfAborted } from './abort.js';
import { requireFinite } from './check.js';
import { type Steering, withResiduals } from './control.js';
import { guide, rescaleGuided } from './guidance.js';

export interface DenoiseOptions {
  denoiser: Denoiser;
  /** The positive one, then the negative one if guidance needs it. */
  conditionings: Conditioning[];
  guidance: number;
  /** φ of guidance rescale; 0 is none. */
  guidanceRescale?: number | undefined;
  /** [channels, rows, columns] of a latent. */
  shape: number[];
  prediction: Prediction;
  levels: NoiseLevels;
  steering?: Steering | undefined;
  signal: AbortSignal | undefined;
}

export function createDenoise(options: DenoiseOptions): Denoise {
  const { denoiser, conditionings, guidance, shape, prediction, levels, steering, signal } = options;
  const { guidanceRescale = 0 } = options;
  const denoise = toDenoise(
    async (data, timestep, sigma) => {
      throwIfAborted(signal);
      const latent = { data, shape };
      const [positive, negative] = await withResiduals(steering, latent, timestep, sigma, (residuals) =>
        denoiser.predict(latent, timestep, conditionings, residuals),
      );
      const guided = guide(positive!.data, negative?.data, guidance);
      return negative ? rescaleGuided(guided, positive!.data, guidanceRescale) : guided;
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
