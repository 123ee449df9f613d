// Samplers that remember earlier predictions: of second order or higher with one network evaluation a step.
// λ = log(α/σ) is half the log signal-to-noise ratio, and h the step in it. It grows as sigma falls.
import { combine, type Term } from './combine.js';
import { signalAt, towards } from './samplers.js';
import type { Sampler, SamplerOptions } from './types.js';

/**
 * DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2), from s to t with h = λ_t - λ_s and r = h_last / h:
 *   D = (1 + 1/2r) x_θ(s) - 1/2r x_θ(s_last),  x_t = (σ_t/σ_s) x_s - α_t (e^-h - 1) D.
 * Here α_t (1 - e^-h) = 1 - σ_t/σ_s for diffusion and flow alike, so that the update is towards(D).
 */
export const dpmpp2m: Sampler = async (denoise, x, sigmas, options) => {
  let last: { denoised: Float32Array; h: number } | undefined;
  for (let i = 0; i + 1 < sigmas.length; i++) {
    const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
    const denoised = await denoise(x, sigma);
    const h = Math.log(sigma / next);
    let D = denoised; // of first order in the first step, and in one to sigma 0, where h is infinite
    if (last && next > 0) {
      const r = last.h / h;
      D = combine([1 + 1 / (2 * r), denoised], [-1 / (2 * r), last.denoised]);
    }
    x = towards(D, x, sigma, next);
    await options.onStep?.(i, x, denoised);
    last = { denoised, h };
  }
  return x;
};

/** SDE-DPM-Solver++(2M) (Lu et al. 2022b, appendix), in the midpoint form of k-diffusion. */
export const dpmpp2mSde: Sampler = (...run) => stochastic2m(() => 0.5, ...run);

/** The same with the correction in Heun's form. */
export const dpmpp2mSdeHeun: Sampler = (...run) =>
  stochastic2m((step) => 1 / -Math.expm1(-step) - 1 / step, ...run);

async function stochastic2m(
  correction: (step: number) => number,
  ...[denoise, x, sigmas, options]: Parameters<Sampler>
): Promise<Float32Array> {
  const eta = options.eta ?? 1;
  let last: { denoised: Float32Array; h: number } | undefined;
  for (let i = 0; i + 1 < sigmas.length; i++) {
    const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
    const denoised = await denoise(x, sigma);
    if (next === 0) x = denoised;
    else {
      // A flow starts at sigma 1, where h is infinite: all of x is renewed, and the next step is of first order.
      const h = logSignalToNoise(next, options) - logSignalToNoise(sigma, options);
      const noisy = eta === 0 ? 0 : eta * h;
      const share = -signalAt(next, options) * Math.expm1(-h - noisy);
      const terms: Term[] = [];
      if (last) {
        const change = share * correction(h + noisy) * (h / last.h);
        terms.push([change, denoised], [-change, last.denoised]);
      }
      if (eta > 0) terms.push([next * Math.sqrt(-Math.expm1(-2 * noisy)), options.noise()]);
      x = combine([(next / sigma) * Math.exp(-noisy), x], [share, denoised], ...terms);
      last = { denoised, h };
    }
    await options.onStep?.(i, x, denoised);
  }
  return x;
}

function logSignalToNoise(sigma: number, options: SamplerOptions): number {
  return Math.log(signalAt(sigma, options) / sigma);
}
