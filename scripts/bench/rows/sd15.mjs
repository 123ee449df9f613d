// Stable Diffusion 1.5 at full size with random weights, in each type of weights, and its targets.
import path from 'node:path';
import { makeOnce } from '../random-weights.mjs';

export const name = 'sd15';

export async function listRows({ types = ['f16', 'q8_0', 'q4_0'], sizes = [512, 256], steps }) {
  const rows = [];
  for (const type of types) {
    const model = { model: await makeOnce(name, type) };
    for (const size of sizes) rows.push({ name: `${name} ${type}`, model, size, steps, guidance: 7 });
  }
  return rows;
}

/** Prints {"step 512": seconds, …} as JSON. */
export const torch = path.resolve(import.meta.dirname, '../torch_sd15.py');

/**
 * A target, and PyTorch's figure on the machine for which the target was set. Other machines are compared by the ratio.
 * PyTorch's step at 256 is its step at 512 scaled by the work in it (180 of 803 GFLOP per pass).
 */
const goal = (type, size, metric, [target, stretch], torchKey, torchReference) => ({
  name: `${name} ${type}`,
  size,
  metric,
  target,
  stretch,
  torchKey,
  torchReference,
});
const [step512, step256] = [14.4, (14.4 * 180) / 803];
const gibibytes = (...values) => values.map((value) => value * 2 ** 30);
export const targets = [
  goal('f16', 512, 'stepSeconds', [16, 12], 'step 512', step512),
  goal('q8_0', 512, 'stepSeconds', [10, 5], 'step 512', step512),
  goal('f16', 256, 'stepSeconds', [3.5], 'step 256', step256),
  goal('q8_0', 256, 'stepSeconds', [2.5], 'step 256', step256),
  goal('f16', 512, 'decodeSeconds', [20, 10], 'decode 512', 20.2),
  goal('q8_0', 512, 'decodeSeconds', [20, 10], 'decode 512', 20.2),
  // Memory and start-up time are not scaled to the machine.
  goal('f16', 512, 'peakBytes', gibibytes(2.2, 1.8), 'peakBytes'),
  goal('q8_0', 512, 'peakBytes', gibibytes(1.6, 1.2), 'peakBytes'),
  goal('f16', 512, 'readySeconds', [1, 0.5]),
  goal('q8_0', 512, 'readySeconds', [1, 0.5]),
];
