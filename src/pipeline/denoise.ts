// The denoiser that samplers call: the network, guidance and the parametrization in one function. It checks for an abort
// before each forward pass.

import type { Denoiser } from '../native/addon.js';
import { type Denoise, type NoiseLevels, type Prediction, toDenoise } from '../sampling/index.js';
import { throwIfAborted } from './abort.js';
import { requireFinite } from './check.js';
import type { ActiveConditionings } from './conditionings.js';
import { withResiduals } from './control.js';
import { combinePositives, guide, rescaleGuided } from './guidance.js';

export interface DenoiseOptions {
  denoiser: Denoiser;
  /** What conditions the evaluation that comes. */
  active: () => ActiveConditionings;
  guidance: number;
  /** φ of guidance rescale; 0 is none. */
  guidanceRescale?: number | undefined;
  /** [channels, rows, columns] of a latent. */
  shape: number[];
  prediction: Prediction;
  levels: NoiseLevels;
  signal: AbortSignal | undefined;
}

export function createDenoise(options: DenoiseOptions): Denoise {
  const { denoiser, active, guidance, guidanceRescale = 0, shape, prediction, levels, signal } = options;
  const denoise = toDenoise(
    async (data, timestep, sigma) => {
      throwIfAborted(signal);
      const latent = { data, shape };
      const { conditionings, weights, steering } = active();
      const predictions = await withResiduals(steering, latent, timestep, sigma, (residuals) =>
        denoiser.predict(latent, timestep, conditionings, residuals),
      );
      const positives = predictions.slice(0, weights.length).map(({ data }) => data);
      const negative = predictions[weights.length]?.data;
      const positive = combinePositives(positives, weights, negative);
      const guided = guide(positive, negative, guidance);
      return negative ? rescaleGuided(guided, positive, guidanceRescale) : guided;
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
