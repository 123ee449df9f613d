// The types of sampling. A sampler is a pure function of (denoise, x, sigmas) that reads like its paper. Latents are
// flat Float32Arrays; a sampler never needs their shape.

/** What a network's output is: the noise, the velocity, the picture, EDM's F, or the flow from picture to noise. */
export type Prediction = 'eps' | 'v' | 'x0' | 'edm' | 'flow';

/** Denoised latent (x0) for x at noise level sigma. */
export type Denoise = (x: Float32Array, sigma: number) => Promise<Float32Array>;

/** Fresh unit normal noise of the latent's length. */
export type NoiseSource = () => Float32Array;

export interface SamplerOptions {
  /** Stochastic samplers call it; deterministic ones never do. */
  noise: NoiseSource;
  /** Share of the noise that a stochastic sampler removes and renews, 0 … 1. Each has its own default. */
  eta?: number;
  /**
   * How x mixes picture and noise: x0 + sigma * noise (diffusion, the default), or
   * (1 - sigma) * x0 + sigma * noise (flow). Only samplers that add noise need to know.
   */
  kind?: 'diffusion' | 'flow';
  /** Called after each step with its index from 0, x, and the denoised latent that the step used. */
  onStep?: (step: number, x: Float32Array, denoised: Float32Array) => void | Promise<void>;
}

/** Goes from x at sigmas[0] to the last sigma. Returns a new array and leaves x as it is. */
export type Sampler = (
  denoise: Denoise,
  x: Float32Array,
  sigmas: Float32Array,
  options: SamplerOptions,
) => Promise<Float32Array>;
