// From what a network predicts to the denoised latent that samplers work on, and how a sampler's x starts.
import { combine } from './combine.js';
import type { NoiseLevels } from './noise-levels.js';
import type { Denoise, Prediction } from './types.js';

/**
 * The network with its conditioning and guidance. The input is scaled, the timestep is in the network's own units; the
 * noise level that both stand for comes along.
 */
export type Predict = (input: Float32Array, timestep: number, sigma: number) => Promise<Float32Array>;

/**
 * The denoiser of Karras et al. 2022, equation 7: D(x; σ) = c_skip x + c_out F(c_in x; c_noise). F is the network, and
 * its parametrization is what the three factors are.
 */
export function toDenoise(predict: Predict, prediction: Prediction, levels: NoiseLevels): Denoise {
  const { sigmaData = 1 } = levels;
  return async (x, sigma) => {
    const { cSkip, cOut, cIn } = parametrizations[prediction](sigma, sigmaData);
    const input = cIn === 1 ? x : x.map((value) => value * cIn);
    return combine([cSkip, x], [cOut, await predict(input, levels.timestepOf(sigma), sigma)]);
  };
}

/** Noise at level sigma over a latent, or noise alone where there is no latent to start from. */
export function addNoise(
  latent: Float32Array | undefined,
  noise: Float32Array,
  sigma: number,
  kind: NoiseLevels['kind'],
): Float32Array {
  if (!latent) return noise.map((value) => value * sigma);
  return combine([kind === 'flow' ? 1 - sigma : 1, latent], [sigma, noise]);
}

interface Factors {
  cSkip: number;
  cOut: number;
  cIn: number;
}

const parametrizations: Record<Prediction, (sigma: number, sigmaData: number) => Factors> = {
  /** The noise (Ho et al. 2020). */
  eps: (sigma, data) => ({ cSkip: 1, cOut: -sigma, cIn: unitVariance(sigma, data) }),
  /** The velocity in the variance-preserving frame (Salimans and Ho 2022): EDM's factors with F of the other sign. */
  v: (sigma, data) => {
    const factors = edm(sigma, data);
    return { ...factors, cOut: -factors.cOut };
  },
  /** The picture itself. */
  x0: (sigma, data) => ({ cSkip: 0, cOut: 1, cIn: unitVariance(sigma, data) }),
  edm,
  /** The straight line from picture to noise (Liu et al. 2022). */
  flow: (sigma) => ({ cSkip: 1, cOut: -sigma, cIn: 1 }),
};

/** Karras et al. 2022, table 1. */
function edm(sigma: number, data: number): Factors {
  const total = sigma ** 2 + data ** 2;
  return {
    cSkip: data ** 2 / total,
    cOut: (sigma * data) / Math.sqrt(total),
    cIn: 1 / Math.sqrt(total),
  };
}

/** Brings x to the unit variance that the network was trained on. */
function unitVariance(sigma: number, data: number): number {
  return 1 / Math.sqrt(sigma ** 2 + data ** 2);
}
