import { expect, it } from 'vitest';
import { applyEmphasis } from '../../../src/text/emphasis.js';

it('multiplies each token and restores the mean of the row', () => {
  const states = Float32Array.of(1, 2, 3, 4); // two tokens of width two
  const result = applyEmphasis(states, [1, 2]);
  const scale = 10 / 17; // means 2.5 and 4.25
  for (const [i, value] of [1, 2, 6, 8].entries()) expect(result[i]).toBeCloseTo(value * scale, 6);
});

it('leaves unweighted states as they are', () => {
  const states = Float32Array.of(0.5, -1, 0.25, 7);
  expect(applyEmphasis(states, [1, 1])).toEqual(states);
});

it('survives a mean of zero', () => {
  expect([...applyEmphasis(Float32Array.of(1, -1), [2])]).toEqual([2, -2]);
});
