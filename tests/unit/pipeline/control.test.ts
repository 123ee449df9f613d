import { describe, expect, it } from 'vitest';
import { findActiveLevels } from '../../../src/pipeline/control.js';
import { resolveControl } from '../../../src/pipeline/resolve.js';

/** Ten steps. */
const sigmas = Float32Array.from({ length: 11 }, (_, i) => 10 - i);
const stepsOf = (start: number, end: number) => {
  const isActive = findActiveLevels(sigmas, { strength: 1, start, end });
  return isActive && [...sigmas.slice(0, 10).keys()].filter((i) => isActive(sigmas[i]!));
};

describe('findActiveLevels', () => {
  it('takes the steps that lie entirely between start and end', () => {
    expect(stepsOf(0, 1)).toHaveLength(10);
    expect(stepsOf(0.2, 0.5)).toEqual([2, 3, 4]);
    expect(stepsOf(0.25, 0.55)).toEqual([3, 4]);
    expect(stepsOf(0, 0.1)).toEqual([0]);
    expect(stepsOf(0.9, 1)).toEqual([9]);
  });

  it("counts a sampler's extra evaluations within a step as part of that step", () => {
    const isActive = findActiveLevels(sigmas, { strength: 1, start: 0.2, end: 0.5 })!;
    expect([8.5, 8, 7.5, 5.5, 5, 4.5].map(isActive)).toEqual([false, true, true, true, false, false]);
    const first = findActiveLevels(sigmas, { strength: 1, start: 0, end: 0.5 })!;
    expect(first(10.4)).toBe(true);
    const last = findActiveLevels(sigmas, { strength: 1, start: 0.5, end: 1 })!;
    expect(last(0.001)).toBe(true);
  });

  it('is empty if no step lies in between, and at strength 0', () => {
    expect(stepsOf(0.41, 0.49)).toBeUndefined();
    expect(findActiveLevels(sigmas, { strength: 0, start: 0, end: 1 })).toBeUndefined();
    expect(findActiveLevels(Float32Array.of(0), { strength: 1, start: 0, end: 1 })).toBeUndefined();
  });
});

describe('resolveControl', () => {
  it('fills in defaults and checks bounds', () => {
    expect(resolveControl({})).toEqual({ strength: 1, start: 0, end: 1 });
    expect(() => resolveControl({ strength: -1 })).toThrow('control strength: expected a number from 0 to 2');
    expect(() => resolveControl({ end: 2 })).toThrow('control end: expected a number from 0 to 1');
    expect(() => resolveControl({ start: 0.6, end: 0.6 })).toThrow(
      'control start: expected less than the end',
    );
  });
});
