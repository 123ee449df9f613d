// UniPC (Zhao et al. 2023) for the denoised latent, with B2(h). Each prediction first corrects the step that led to it
// (UniC), then makes the next step (UniP). h is the step in -log sigma, so that one form serves diffusion and flow.
import { combine, type Term } from './combine.js';
import type { Sampler } from './types.js';

interface Prediction {
  denoised: Float32Array;
  sigma: number;
}

/** Order 2, as in diffusers; lower near both ends, where there are fewer predictions. */
export const unipc: Sampler = (...run) => unipcOfOrder(2, ...run);

/** Order 3, for schedules of about ten steps or more. */
export const unipc3: Sampler = (...run) => unipcOfOrder(3, ...run);

async function unipcOfOrder(
  highest: number,
  ...[denoise, x, sigmas, options]: Parameters<Sampler>
): Promise<Float32Array> {
  const steps = sigmas.length - 1;
  let history: Prediction[] = []; // the latest comes first
  let before = x;
  let order = 0;
  for (let i = 0; i < steps; i++) {
    const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
    const denoised = await denoise(x, sigma);
    if (i > 0) x = update(before, sigma, history.slice(0, order), { denoised, sigma });
    history = [{ denoised, sigma }, ...history].slice(0, highest);
    order = Math.min(highest, i + 1, steps - i);
    before = x;
    x = next === 0 ? denoised : update(x, next, history.slice(0, order));
    await options.onStep?.(i, x, denoised);
  }
  return x;
}

/**
 * Moves x from the latest prediction's noise level to `to`. Without `arrived` this is the predictor; with it, the
 * prediction made at the end of the step, the corrector.
 */
function update(x: Float32Array, to: number, predictions: Prediction[], arrived?: Prediction): Float32Array {
  const [latest, ...earlier] = predictions as [Prediction, ...Prediction[]];
  const h = Math.log(latest.sigma / to);
  const others = arrived ? [...earlier, arrived] : earlier;
  const positions = others.map(({ sigma }) => Math.log(latest.sigma / sigma) / h);
  const growth = -Math.expm1(-h);
  const factors = weightsOf(positions, h).map((weight, i) => (growth * weight) / positions[i]!);
  const own = growth - factors.reduce((sum, factor) => sum + factor, 0); // the factors weigh differences to the latest
  const terms = factors.map((factor, i): Term => [factor, others[i]!.denoised]);
  return combine([to / latest.sigma, x], [own, latest.denoised], ...terms);
}

/** Weights of the differences at these positions, in steps of h. They match the moments of the exact integral. */
function weightsOf(positions: number[], h: number): number[] {
  if (positions.length === 0) return [];
  if (positions.length === 1) return [0.5]; // the paper's choice for every B(h)
  const moments: number[] = [];
  let phi = Math.expm1(-h) / -h - 1;
  for (let k = 1, factorial = 1; k <= positions.length; k++) {
    moments.push((phi * factorial) / Math.expm1(-h));
    factorial *= k + 1;
    phi = phi / -h - 1 / factorial;
  }
  return solve(
    moments.map((_, k) => positions.map((position) => position ** k)),
    moments,
  );
}

/** Gaussian elimination without pivoting, for a small Vandermonde matrix of distinct positions. */
function solve(matrix: number[][], right: number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (const [i, row] of rows.entries())
    for (const other of rows.slice(i + 1)) {
      const factor = other[i]! / row[i]!;
      for (let column = i; column < row.length; column++) other[column]! -= factor * row[column]!;
    }
  const solution = new Array<number>(rows.length);
  for (let i = rows.length - 1; i >= 0; i--) {
    const known = rows[i]!.slice(i + 1, -1).reduce((sum, value, j) => sum + value * solution[i + 1 + j]!, 0);
    solution[i] = (rows[i]!.at(-1)! - known) / rows[i]![i]!;
  }
  return solution;
}
