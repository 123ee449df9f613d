// Noise levels that files ask for, compared with tables, schedules and whole runs that numpy computed independently
// (tests/fixtures/sampling/make.py).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { rescaleGuided } from '../../../src/pipeline/guidance.js';
import { diffusionLevels, type NoiseLevels } from '../../../src/sampling/noise-levels.js';
import { toDenoise } from '../../../src/sampling/parametrization.js';
import { findSchedule } from '../../../src/sampling/registry.js';
import { euler } from '../../../src/sampling/samplers.js';
import {
  type BetaNoise,
  describeNoise,
  stableDiffusionNoise,
  type TrainedNoise,
} from '../../../src/sampling/trained-noise.js';
import type { Prediction } from '../../../src/sampling/types.js';

interface Expected {
  sigmas: Record<string, number[]>;
  schedules: Record<string, Record<string, number[]>>;
  timesteps: Record<string, [number, number][]>;
  noise: number[];
  runs: { prediction: Prediction; levels: string; schedule: string; x: number[] }[];
  rescale: { positive: number[]; negative: number[]; scale: number; phi: Record<string, number[]> };
}

const expected = JSON.parse(
  readFileSync(new URL('../../fixtures/sampling/expected.json', import.meta.url), 'utf8'),
) as Expected;

const published = stableDiffusionNoise;
const linear: BetaNoise = { ...published, schedule: 'linear', start: 0.0001, end: 0.02 };
const kinds: Record<string, TrainedNoise> = {
  published,
  zero: { ...published, zeroTerminalSnr: true },
  linear,
  linear_zero: { ...linear, zeroTerminalSnr: true },
  cosine: { ...published, schedule: 'squaredcos_cap_v2' },
  short: { ...published, start: 0.001, end: 0.01, count: 250 },
  edm: { kind: 'edm', min: 0.002, max: 80, data: 0.5 },
  cosxl: { kind: 'edm', min: 0.002, max: 120, data: 1 },
};
const levelsOf = (kind: string): NoiseLevels => diffusionLevels('sdxl', kinds[kind]);

function expectClose(found: ArrayLike<number>, wanted: readonly number[], tolerance: number) {
  expect(found).toHaveLength(wanted.length);
  for (const [i, value] of wanted.entries())
    expect(Math.abs(found[i]! - value), `${i}: ${found[i]} and ${value}`).toBeLessThanOrEqual(
      tolerance * Math.max(Math.abs(value), 1e-6),
    );
}

it('has the published sigma for zero terminal SNR', () => {
  expect(levelsOf('zero').sigmaAt(999)).toBeCloseTo(4518.76, 2);
});

it.each(Object.keys(expected.sigmas))('sigmas of %s', (kind) => {
  const table = levelsOf(kind).table!;
  const places = [0, 1, Math.floor(table.length / 2), table.length - 2, table.length - 1];
  expectClose(
    places.map((place) => table[place]!),
    expected.sigmas[kind]!,
    1e-9,
  );
});

describe.each(Object.keys(expected.schedules))('schedules on %s', (kind) => {
  it.each(Object.keys(expected.schedules[kind]!))('%s', (key) => {
    const [name, steps] = key.split('/');
    const { schedule } = findSchedule(name!, 'diffusion');
    expectClose(schedule(Number(steps), levelsOf(kind)), expected.schedules[kind]![key]!, 2e-6);
  });
});

it.each(Object.keys(expected.timesteps))('timesteps of %s', (kind) => {
  for (const [sigma, timestep] of expected.timesteps[kind]!)
    expect(levelsOf(kind).timestepOf(sigma)).toBeCloseTo(timestep, 6);
});

/** The toy network of make.py. */
const network = (x: Float32Array, t: number) =>
  x.map((value, i) => 0.6 * Math.tanh(value + 0.1 * t) - 0.25 * x.at(i - 1)! + 0.05 * Math.sin(t));

it.each(expected.runs)('a run of $prediction on $levels with $schedule', async (run) => {
  const levels = levelsOf(run.levels);
  const denoise = toDenoise(async (x, t) => network(x, t), run.prediction, levels);
  const sigmas = findSchedule(run.schedule).schedule(7, levels);
  const start = Float32Array.from(expected.noise, (value) => value * sigmas[0]!);
  const x = await euler(denoise, start, sigmas, { noise: () => new Float32Array(8) });
  expectClose(x, run.x, run.prediction === 'eps' ? 5e-3 : 2e-3);
});

describe('what a scheduler says about the range', () => {
  it('ends at the lowest sigma', () => {
    const levels = diffusionLevels('sd1', { ...published, endsAtLowest: true });
    const sigmas = findSchedule('trailing').schedule(5, levels);
    expect(sigmas.at(-1)).toBeCloseTo(expected.sigmas.published![0]!, 6);
    expect(sigmas).toHaveLength(6);
    // The last level is already there, so a step of length 0 is left out.
    expect(findSchedule('normal').schedule(5, levels)).toHaveLength(5);
  });

  it('has its own bounds for karras', () => {
    const levels = diffusionLevels('sd1', { ...published, lowest: 0.1, highest: 10 });
    const sigmas = findSchedule('karras').schedule(5, levels);
    expect(sigmas[0]).toBeCloseTo(10, 5);
    expect(sigmas[4]).toBeCloseTo(0.1, 5);
  });

  it.each([0, 1, 2])('leads with an offset of %d', (stepsOffset) => {
    const levels = diffusionLevels('sd1', { ...published, stepsOffset });
    const sigmas = findSchedule('leading').schedule(10, levels);
    expect(levels.timestepOf(sigmas[0]!)).toBeCloseTo(900 + stepsOffset, 3);
    expect(levels.timestepOf(sigmas[9]!)).toBeCloseTo(stepsOffset, 3);
  });
});

it('offers Align Your Steps for the published levels only', () => {
  const { schedule } = findSchedule('ays');
  expect(schedule(10, levelsOf('published'))).toHaveLength(11);
  for (const kind of ['zero', 'edm', 'linear'])
    expect(() => schedule(10, levelsOf(kind))).toThrow(/this model has others/);
});

it('describes noise in words', () => {
  expect(describeNoise(kinds.zero!)).toMatch(
    /0\.00085 to 0\.012.*sigma 0\.0292 to 4518\.76, zero terminal SNR/,
  );
  expect(describeNoise(kinds.edm!)).toBe('EDM, sigma 0.002 to 80, sigma_data 0.5');
  const fromF32 = { kind: 'edm', min: Math.fround(0.002), max: 120, data: 1 } as const;
  expect(describeNoise(fromF32)).toBe('EDM, sigma 0.002 to 120, sigma_data 1');
});

describe('guidance rescale', () => {
  const { positive, negative, scale, phi } = expected.rescale;
  const guided = Float32Array.from(positive, (value, i) => negative[i]! + scale * (value - negative[i]!));

  it.each(Object.keys(phi))('with φ = %s', (share) => {
    expectClose(rescaleGuided(guided, Float32Array.from(positive), Number(share)), phi[share]!, 1e-5);
  });

  it('changes nothing at 0, and survives a constant', () => {
    expect(rescaleGuided(guided, Float32Array.from(positive), 0)).toBe(guided);
    const flat = new Float32Array(8).fill(2);
    expect(rescaleGuided(flat, Float32Array.from(positive).slice(0, 8), 1)).toEqual(flat);
  });
});
