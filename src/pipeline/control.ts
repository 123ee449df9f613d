// ControlNet (Zhang et al. 2023): a second network looks at a picture and tells the denoiser, step by step, what to add
// inside of itself. In which steps, and what a step hands on.
import type { Conditioning, ControlNet, Residuals, Tensor } from '../native/addon.js';
import type { Control } from './types.js';

/** A ControlNet that has read picture and prompts. */
export interface Steering {
  net: ControlNet;
  /** Beside those of the denoiser. */
  conditionings: Conditioning[];
  strength: number;
  /** Whether it has a say at this noise level. */
  isActive: (sigma: number) => boolean;
}

/**
 * The steps of a schedule that a ControlNet steers: number i of n is one where i / n is not before `start` and
 * (i + 1) / n not after `end`. undefined where it steers none. What a sampler asks between two steps belongs to the
 * first of them.
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
  // samplers that add noise before a step begin it above its level
  const highest = first === 0 ? Infinity : sigmas[first]!;
  const below = last === steps - 1 ? -Infinity : sigmas[last + 1]!;
  return (sigma) => sigma <= highest && sigma > below;
}

/** Runs `predict` with what the ControlNet adds to the prediction from this latent at this noise level. */
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
