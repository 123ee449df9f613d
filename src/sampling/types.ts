// The shapes of sampling: a sampler is a pure function of (denoise, x, sigmas) and reads like its paper.
// Latents are flat Float32Arrays; a sampler never needs their shape.

/** Denoised latent (x0) for x at noise level sigma. */
export type Denoise = (x: Float32Array, sigma: number) => Promise<Float32Array>;

/** Fresh unit normal noise as long as the latent. */
export type NoiseSource = () => Float32Array;

export interface SamplerOptions {
  /** For stochastic samplers; deterministic ones never call it. */
  noise: NoiseSource;
  eta?: number;
  /** After each step: its index from 0, x and the denoised latent it used. */
  onStep?: (step: number, x: Float32Array, denoised: Float32Array) => void;
}

/** Runs from x at sigmas[0] to the last sigma. */
export type Sampler = (
  denoise: Denoise,
  x: Float32Array,
  sigmas: Float32Array,
  options: SamplerOptions,
) => Promise<Float32Array>;
