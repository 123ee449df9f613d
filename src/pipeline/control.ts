// ControlNet (Zhang et al. 2023): a second network reads a picture and gives the denoiser residuals in each step. Here is
// decided in which steps it does so, and the residuals of a step are passed on.
import type { Conditioning, ControlNet, Residuals, Tensor } from '../native/addon.js';
import type { Control } from './types.js';

/** A ControlNet that has read its picture and the prompts. */
export interface Steering {
  net: ControlNet;
  /** One for each conditioning of the denoiser. */
  conditionings: Conditioning[];
  strength: number;
  /** Whether it steers at this noise level. */
  isActive: (sigma: number) => boolean;
}

/**
 * Finds the steps that a ControlNet steers: step i of n is one if i / n >= `start` and (i + 1) / n <= `end`. undefined if
 * there is none. A noise level between two steps, which some samplers ask for, belongs to the first of them.
 */
export function findActiveLevels(
  sigmas: Float32Array,
  { strength, start, end }: Pick<Control, 'strength' | 'start' | 'end'>,
): ((sigma: number) => boolean) | undefined {
  const steps = sigmas.length - 1;
  const active = Array.from({ length: steps }, (_, i) => i / steps >= start && (i + 1) / steps <= end);
  const first = active.indexOf(true);
  if (first === -1 || strength === 0) return undefined;
  const last = active.lastIndexOf(true);
  // samplers that add noise before a step begin the step above its level
  const highest = first === 0 ? Infinity : sigmas[first]!;
  const below = last === steps - 1 ? -Infinity : sigmas[last + 1]!;
  return (sigma) => sigma <= highest && sigma > below;
}

/** Runs `predict` with the ControlNet's residuals for this latent at this noise level. */
export async function withResiduals<T>(
  steering: Steering | undefined,
  latent: Tensor,
  timestep: number,
  sigma: number,
  predict: (residuals: Residuals[] | undefined) => Promise<T>,
): Promise<T> {
  if (!steering?.isActive(sigma)) return predict(undefined);
  const { net, conditionings, strength } = steering;
  const residuals = await net.steer(latent, timestep, conditionings, strength);
  try {
    return await predict(residuals);
  } finally {
    for (const one of residuals) one.close();
  }
}
