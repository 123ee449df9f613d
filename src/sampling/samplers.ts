// Samplers that need only the latent and the latest prediction. Diffusion and flow obey the same equation in sigma,
// dx/dsigma = (x - denoised) / sigma, so the deterministic samplers serve both. Those that add noise ask which it is.
import { combine } from './combine.js';
import type { Sampler, SamplerOptions } from './types.js';

/** Euler: algorithm 1 of Karras et al. 2022 in first order and without churn. */
export const euler: Sampler = async (denoise, x, sigmas, options) => {
  for (let i = 0; i + 1 < sigmas.length; i++) {
    const denoised = await denoise(x, sigmas[i]!);
    x = towards(denoised, x, sigmas[i]!, sigmas[i + 1]!);
    await options.onStep?.(i, x, denoised);
  }
  return x;
};

/** Heun: algorithm 1 of Karras et al. 2022 without churn. The last step, to sigma 0, is Euler's. */
export const heun: Sampler = async (denoise, x, sigmas, options) => {
  for (let i = 0; i + 1 < sigmas.length; i++) {
    const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
    const denoised = await denoise(x, sigma);
    const ahead = towards(denoised, x, sigma, next);
    if (next === 0) x = ahead;
    else {
      // the mean of two slopes: (x - denoised) / sigma here and (ahead - again) / next there
      const again = await denoise(ahead, next);
      const half = (next - sigma) / 2;
      x = combine(
        [1 + half / sigma, x],
        [-half / sigma, denoised],
        [half / next, ahead],
        [-half / next, again],
      );
    }
    await options.onStep?.(i, x, denoised);
  }
  return x;
};

/** DPM-Solver-2 (Lu et al. 2022) as in k-diffusion: the slope is that of the geometric middle. */
export const dpm2: Sampler = (denoise, x, sigmas, options) =>
  dpm2Ancestral(denoise, x, sigmas, { ...options, eta: 0 });

/** Sigmas of a step: its start, its geometric middle, and its end before noise is renewed. */
interface Middle {
  sigma: number;
  middle: number;
  down: number;
}

/** Predicts once more in the middle of each step. `advance` makes the whole step from what it finds there. */
const throughMiddle =
  (
    advance: (x: Float32Array, halfway: Float32Array, denoised: Float32Array, at: Middle) => Float32Array,
  ): Sampler =>
  async (denoise, x, sigmas, options) => {
    for (let i = 0; i + 1 < sigmas.length; i++) {
      const sigma = sigmas[i]!;
      const { down, renew } = ancestralStep(sigma, sigmas[i + 1]!, options, 1);
      const denoised = await denoise(x, sigma);
      if (down === 0) x = towards(denoised, x, sigma, down);
      else {
        const middle = Math.sqrt(sigma * down);
        const halfway = towards(denoised, x, sigma, middle);
        x = advance(x, halfway, await denoise(halfway, middle), { sigma, middle, down });
      }
      x = renew(x);
      await options.onStep?.(i, x, denoised);
    }
    return x;
  };

/** DPM-Solver-2 with ancestral noise. */
export const dpm2Ancestral: Sampler = throughMiddle((x, halfway, denoised, { sigma, middle, down }) => {
  const slope = (down - sigma) / middle;
  return combine([1, x], [slope, halfway], [-slope, denoised]);
});

/** DPM-Solver++(2S) (Lu et al. 2022b) with ancestral noise: steps by the prediction in the middle. */
export const dpmpp2sAncestral: Sampler = throughMiddle((x, _, denoised, { sigma, down }) =>
  towards(denoised, x, sigma, down),
);

/** Euler with ancestral noise (k-diffusion). */
export const eulerAncestral: Sampler = (denoise, x, sigmas, options) =>
  eulerWithNoise(denoise, x, sigmas, options, 1);

/** DDIM (Song et al. 2021). In these variables it is Euler that renews the share eta of the noise, by default 0. */
export const ddim: Sampler = (denoise, x, sigmas, options) => eulerWithNoise(denoise, x, sigmas, options, 0);

async function eulerWithNoise(
  ...[denoise, x, sigmas, options, usualEta]: [...Parameters<Sampler>, number]
): Promise<Float32Array> {
  for (let i = 0; i + 1 < sigmas.length; i++) {
    const { down, renew } = ancestralStep(sigmas[i]!, sigmas[i + 1]!, options, usualEta);
    const denoised = await denoise(x, sigmas[i]!);
    x = renew(towards(denoised, x, sigmas[i]!, down));
    await options.onStep?.(i, x, denoised);
  }
  return x;
}

/** LCM (Luo et al. 2023): jumps to the prediction, then adds the noise of the next level. */
export const lcm: Sampler = async (denoise, x, sigmas, options) => {
  for (let i = 0; i + 1 < sigmas.length; i++) {
    const next = sigmas[i + 1]!;
    const denoised = await denoise(x, sigmas[i]!);
    x = next === 0 ? denoised : combine([signalAt(next, options), denoised], [next, options.noise()]);
    await options.onStep?.(i, x, denoised);
  }
  return x;
};

/** Moves x along the line to its denoised latent, from noise level sigma to another. */
export function towards(denoised: Float32Array, x: Float32Array, sigma: number, to: number): Float32Array {
  return combine([to / sigma, x], [1 - to / sigma, denoised]);
}

/** The share α of the picture in x at a noise level. */
export function signalAt(sigma: number, options: SamplerOptions): number {
  return options.kind === 'flow' ? 1 - sigma : 1;
}

/** The sigma that an ancestral step goes down to, and the function that brings x up to the next level with fresh noise. */
function ancestralStep(sigma: number, next: number, options: SamplerOptions, usualEta: number) {
  const eta = options.eta ?? usualEta;
  if (eta === 0 || next === 0) return { down: next, renew: (x: Float32Array) => x };
  const down =
    options.kind === 'flow'
      ? next * (1 + eta * (next / sigma - 1))
      : Math.sqrt(next ** 2 - Math.min(next, eta * next * Math.sqrt(1 - (next / sigma) ** 2)) ** 2);
  const scale = signalAt(next, options) / signalAt(down, options);
  const up = Math.sqrt(Math.max(0, next ** 2 - (scale * down) ** 2));
  return { down, renew: (x: Float32Array) => combine([scale, x], [up, options.noise()]) };
}
