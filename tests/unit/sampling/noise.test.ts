// Noise equals that of the reference generators, and is normally distributed.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createNoise } from '../../../src/sampling/noise.js';
import { assertClose, goldenCase, type Tolerance } from '../../golden.js';

interface Draw {
  name: string;
  kind: 'torch' | 'philox' | 'torch_uniform';
  seed: number;
  /** torch: the shapes drawn in sequence from one generator. */
  calls?: number[][];
  returned_call?: number;
  /** philox: how many draws come before this one, and its shape. */
  offset?: number;
  shape?: number[];
}

const golden = goldenCase('rng');

describe('noise against the reference generators', () => {
  const draws = golden.json<Draw[]>('index.json');
  const { expected } = golden;
  const sizeOf = (shape: number[]) => shape.reduce((size, dimension) => size * dimension, 1);

  // torch makes normal noise from torch_uniform draws, which are not exposed here.
  it.each(draws.filter(({ kind }) => kind !== 'torch_uniform'))('$name', (draw) => {
    const noise = createNoise(draw.kind === 'philox' ? 'philox' : 'torch', draw.seed);
    const sizes = draw.calls
      ? draw.calls.slice(0, draw.returned_call! + 1).map(sizeOf)
      : Array<number>(draw.offset! + 1).fill(sizeOf(draw.shape!));
    const results = sizes.map((size) => noise(size));
    const { data } = expected.get(draw.name)!;
    assertClose(results.at(-1)!, data, golden.facts.tolerance.all as Tolerance);
  });
});

describe('noise of seeds above 32 and 53 bits', () => {
  const file = new URL('../../fixtures/seeds/noise.json', import.meta.url);
  const { cases } = JSON.parse(readFileSync(file, 'utf8')) as {
    cases: { seed: string; torch: number[][]; philox: number[][] }[];
  };

  describe.each(cases)('$seed', ({ seed, ...expected }) => {
    it.each(['torch', 'philox'] as const)('%s', (kind) => {
      const draw = createNoise(kind, seed);
      for (const values of expected[kind])
        for (const [i, value] of draw(values.length).entries()) expect(value).toBeCloseTo(values[i]!, 5);
    });
  });

  it('tells apart seeds that would round to the same number', () => {
    const [one, next] = [2n ** 53n, 2n ** 53n + 1n];
    for (const kind of ['torch', 'philox'] as const)
      expect(createNoise(kind, one)(4)).not.toEqual(createNoise(kind, next)(4));
  });
});

describe('noise', () => {
  it.each([-1, 1.5, 2 ** 53, Number.NaN])('refuses seed %s', (seed) => {
    expect(() => createNoise('torch', seed)).toThrow(/seed: expected a whole number/);
  });

  it.each(['philox', 'torch'] as const)('%s is normal', (kind) => {
    const values = createNoise(kind, 7)(200_000);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(Math.abs(variance - 1)).toBeLessThan(0.02);
  });
});
