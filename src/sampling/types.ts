// The shapes of sampling: a sampler is a pure function of (denoise, x, sigmas) and reads like its paper.
// Latents are flat Float32Arrays; a sampler never needs their shape.

/** What a network's output is: the noise, the velocity, or the flow from picture to noise. */
export type Prediction = 'eps' | 'v' | 'flow';

/** Denoised latent (x0) for x at noise level sigma. */
export type Denoise = (x: Float32Array, sigma: number) => Promise<Float32Array>;

/** Fresh unit normal noise as long as the latent. */
export type NoiseSource = () => Float32Array;

export interface SamplerOptions {
  /** For stochastic samplers; deterministic ones never call it. */
  noise: NoiseSource;
  /** Share of the noise that a stochastic sampler takes out and renews: 0 … 1; each has its usual default. */
  eta?: number;
  /**
   * How x mixes picture and noise: x0 + sigma * noise (diffusion, the default), or
   * (1 - sigma) * x0 + sigma * noise (flow). Only samplers that add noise tell them apart.
   */
  kind?: 'diffusion' | 'flow';
  /** After each step, and before the next: its index from 0, x and the denoised latent it used. */
  onStep?: (step: number, x: Float32Array, denoised: Float32Array) => void | Promise<void>;
}

/** Runs from x at sigmas[0] to the last sigma. Gives a new array; x stays as it is. */
export type Sampler = (
  denoise: Denoise,
  x: Float32Array,
  sigmas: Float32Array,
  options: SamplerOptions,
) => Promise<Float32Array>;
