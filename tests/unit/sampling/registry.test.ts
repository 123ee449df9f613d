import { describe, expect, it } from 'vitest';
import { diffusionLevels, flowLevels } from '../../../src/sampling/noise-levels.js';
import {
  findSampler,
  findSchedule,
  samplerEntries,
  samplerNames,
  scheduleEntries,
  scheduleNames,
} from '../../../src/sampling/registry.js';

describe('samplers by name', () => {
  it.each([
    ['euler', 'euler', undefined],
    ['Euler a', 'euler_a', undefined],
    ['DPM++ 2M Karras', 'dpmpp_2m', 'karras'],
    ['dpmpp_2m_sde', 'dpmpp_2m_sde', undefined],
    ['DPM++ 2M SDE Karras', 'dpmpp_2m_sde', 'karras'],
    ['dpm++2s_a', 'dpmpp_2s_a', undefined],
    ['dpm++2m', 'dpmpp_2m', undefined],
    ['EulerAncestralDiscreteScheduler', 'euler_a', undefined],
    ['dpm_2_ancestral', 'dpm2_a', undefined],
    ['uni_pc', 'unipc', undefined],
    ['Euler SGM Uniform', 'euler', 'sgm_uniform'],
  ])('%s', (name, sampler, schedule) => {
    const found = findSampler(name);
    expect(found.entry.name).toBe(sampler);
    expect(found.schedule?.name).toBe(schedule);
  });

  it('refuses an unknown name and lists the known ones', () => {
    expect(() => findSampler('plms')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', hint: expect.stringContaining('euler_a') }),
    );
  });
});

describe('schedules by name', () => {
  it.each([
    ['Karras', 'karras'],
    ['discrete', 'normal'],
    ['Align Your Steps', 'ays'],
    ['KL Optimal', 'kl_optimal'],
    ['DDIM', 'ddim_uniform'],
  ])('%s', (name, schedule) => expect(findSchedule(name).name).toBe(schedule));

  it('refuses a schedule that does not suit the model', () => {
    expect(() => findSchedule('ays', 'flow')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('flow models') }),
    );
  });
});

describe('the lists', () => {
  it('have no name twice', () => {
    for (const names of [samplerNames, scheduleNames]) expect(new Set(names).size).toBe(names.length);
  });

  const kinds = { diffusion: diffusionLevels(), flow: flowLevels() };
  const cases = scheduleEntries.flatMap(({ name, kinds: served }) =>
    served.flatMap((kind) => [1, 2, 7, 25, 150, 1000].map((steps) => ({ name, kind, steps }))),
  );
  it.each(cases)('$name of $steps steps falls to 0 on $kind models', ({ name, kind, steps }) => {
    const sigmas = findSchedule(name, kind).schedule(steps, kinds[kind]);
    expect(sigmas.at(-1)).toBe(0);
    expect(sigmas.length).toBeGreaterThanOrEqual(2);
    for (let i = 0; i + 1 < sigmas.length; i++) expect(sigmas[i]).toBeGreaterThan(sigmas[i + 1]!);
    expect(sigmas[0]).toBeLessThanOrEqual(kind === 'flow' ? 1 : 14.7);
  });
});

/** Deterministic normal noise, good enough for variances. */
function gaussian(seed: number, size: number): () => Float32Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () =>
    Float32Array.from(
      { length: size },
      () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
    );
}

const size = 4000;
const levels = { diffusion: diffusionLevels(), flow: flowLevels() };
const runs = samplerEntries.flatMap(({ name, stochastic }) =>
  (['diffusion', 'flow'] as const).flatMap((kind) =>
    (stochastic ? [0, 0.4, 1] : [0]).map((eta) => ({ name, kind, eta })),
  ),
);

// If the denoiser knows the picture, x must stay a mix of picture and noise in the proportions of each level.
describe.each(runs)('$name on $kind models with eta $eta', ({ name, kind, eta }) => {
  it('keeps the level of noise and ends at the picture', async () => {
    const picture = 0.7;
    const sigmas = findSchedule('simple').schedule(8, levels[kind]);
    const noise = gaussian(5, size);
    const signal = (sigma: number) => (kind === 'flow' ? 1 - sigma : 1);
    const start = noise().map((value) => signal(sigmas[0]!) * picture + sigmas[0]! * value);
    const untouched = start.slice();
    const end = await findSampler(name).entry.sampler(
      async (x) => new Float32Array(x.length).fill(picture),
      start,
      sigmas,
      {
        kind,
        noise,
        eta,
        onStep: (i, x) => {
          const next = sigmas[i + 1]!;
          const residual = x.map((value) => value - signal(next) * picture);
          const deviation = Math.sqrt(residual.reduce((sum, value) => sum + value ** 2, 0) / size);
          expect(Math.abs(deviation - next)).toBeLessThanOrEqual(0.06 * next + 1e-5);
        },
      },
    );
    expect(Math.max(...end.map((value) => Math.abs(value - picture)))).toBeLessThan(1e-4);
    expect(start).toEqual(untouched);
  });
});
