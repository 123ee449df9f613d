import { describe, expect, it } from 'vitest';
import { createNoise } from '../../../src/sampling/noise.js';
import { goldenCase, maxDifference, relativeDifference } from '../../golden.js';

interface Draw {
  name: string;
  kind: 'torch' | 'philox' | 'torch_uniform';
  seed: number;
  /** torch: shapes drawn one after another from one generator. */
  calls?: number[][];
  returned_call?: number;
  /** philox: draws before this one, and its shape. */
  offset?: number;
  shape?: number[];
}

const golden = goldenCase('rng');

describe.skipIf(!golden.present)(`noise against the reference generators ${golden.reason}`, () => {
  const draws = golden.present ? golden.json<Draw[]>('index.json') : [];
  const expected = golden.present ? golden.tensors('expected.safetensors') : new Map();
  const sizeOf = (shape: number[]) => shape.reduce((size, dimension) => size * dimension, 1);

  // torch_uniform draws are what torch makes normal noise of; nothing here hands them out.
  it.each(draws.filter(({ kind }) => kind !== 'torch_uniform'))('$name', (draw) => {
    const noise = createNoise(draw.kind === 'philox' ? 'philox' : 'torch', draw.seed);
    const sizes = draw.calls
      ? draw.calls.slice(0, draw.returned_call! + 1).map(sizeOf)
      : Array<number>(draw.offset! + 1).fill(sizeOf(draw.shape!));
    const results = sizes.map((size) => noise(size));
    const { data } = expected.get(draw.name)!;
    expect(maxDifference(results.at(-1)!, data)).toBeLessThan(2e-6);
    expect(relativeDifference(results.at(-1)!, data)).toBeLessThan(1e-6);
  });
});

describe('noise', () => {
  it.each([-1, 1.5, 2 ** 53, Number.NaN])('refuses seed %s', (seed) => {
    expect(() => createNoise('torch', seed)).toThrow(/seed is/);
  });

  it.each(['philox', 'torch'] as const)('%s is normal', (kind) => {
    const values = createNoise(kind, 7)(200_000);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(Math.abs(variance - 1)).toBeLessThan(0.02);
  });
});
