// How far FLUX's schedules are shifted towards noise. Larger pictures need more of it.

/** s -> e^mu / (e^mu + 1/s - 1), the shift of Esser et al. 2024, where mu is the logarithm of the shift. */
export function timeShift(mu: number): (sigma: number) => number {
  return (sigma) => (sigma === 0 ? 0 : Math.exp(mu) / (Math.exp(mu) + 1 / sigma - 1));
}

/** s -> k s / (1 + (k - 1) s). */
export function staticShift(factor: number): (sigma: number) => number {
  return (sigma) => (factor * sigma) / (1 + (factor - 1) * sigma);
}

/** FLUX.1-dev's mu for a number of image tokens (a token is 16 x 16 pixels): linear from (256, 0.5) to (4096, 1.15). */
export function flux1Mu(tokens: number): number {
  return 0.5 + ((1.15 - 0.5) * (tokens - 256)) / (4096 - 256);
}

/** FLUX.2's mu, which its authors fitted to the numbers of image tokens and steps. */
export function flux2Mu(tokens: number, steps: number): number {
  const at200 = 0.00016927 * tokens + 0.45666666;
  if (tokens > 4300) return at200;
  const at10 = 8.73809524e-5 * tokens + 1.89833333;
  return at10 + ((at200 - at10) * (steps - 10)) / 190;
}
