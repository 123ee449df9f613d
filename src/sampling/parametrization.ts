// What a network predicts (noise, velocity or flow) turned into the denoised latent that samplers work on; and how a
// sampler's x starts.
import { combine } from './combine.js';
import type { NoiseLevels } from './noise-levels.js';
import type { Denoise, Prediction } from './types.js';

/**
 * The network with its conditioning and guidance: input already scaled, timestep in the network's own units; the noise
 * level that both stand for comes along.
 */
export type Predict = (input: Float32Array, timestep: number, sigma: number) => Promise<Float32Array>;

/** Wraps a network into the denoiser of its parametrization. */
export function toDenoise(predict: Predict, prediction: Prediction, levels: NoiseLevels): Denoise {
  const { scaleInput, denoised } = parametrizations[prediction];
  return async (x, sigma) => {
    const scale = scaleInput(sigma);
    const input = scale === 1 ? x : x.map((value) => value * scale);
    return denoised(x, await predict(input, levels.timestepOf(sigma), sigma), sigma);
  };
}

/** Noise at level sigma over a latent (or over nothing, where sampling starts from noise alone). */
export function addNoise(
  latent: Float32Array | undefined,
  noise: Float32Array,
  sigma: number,
  kind: NoiseLevels['kind'],
): Float32Array {
  if (!latent) return noise.map((value) => value * sigma);
  return combine([kind === 'flow' ? 1 - sigma : 1, latent], [sigma, noise]);
}

interface Parametrization {
  /** Brings x to the unit variance that the network was trained on. */
  scaleInput(sigma: number): number;
  denoised(x: Float32Array, output: Float32Array, sigma: number): Float32Array;
}

const unitVariance = (sigma: number) => 1 / Math.sqrt(sigma ** 2 + 1);

const parametrizations: Record<Prediction, Parametrization> = {
  /** The noise (Ho et al. 2020). */
  eps: {
    scaleInput: unitVariance,
    denoised: (x, output, sigma) => combine([1, x], [-sigma, output]),
  },
  /** The velocity in the variance-preserving frame (Salimans and Ho 2022). */
  v: {
    scaleInput: unitVariance,
    denoised: (x, output, sigma) =>
      combine([1 / (sigma ** 2 + 1), x], [-sigma / Math.sqrt(sigma ** 2 + 1), output]),
  },
  /** The straight line from picture to noise (Liu et al. 2022). */
  flow: {
    scaleInput: () => 1,
    denoised: (x, output, sigma) => combine([1, x], [-sigma, output]),
  },
};
