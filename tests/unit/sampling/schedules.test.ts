// Schedules equal the reference tables.
import { describe, expect, it } from 'vitest';
import { flux1Mu, flux2Mu, staticShift, timeShift } from '../../../src/sampling/flow-shift.js';
import { diffusionLevels, flowLevels } from '../../../src/sampling/noise-levels.js';
import type { Schedule } from '../../../src/sampling/schedules.js';
import * as schedules from '../../../src/sampling/schedules.js';
import { goldenCase } from '../../golden.js';

const golden = goldenCase('schedules');
const { expected } = golden;
const { rel: tolerance } = golden.facts.tolerance.all as unknown as { rel: number };

function expectRelative(found: ArrayLike<number>, name: string) {
  const { data } = expected.get(name)!;
  expect(found).toHaveLength(data.length);
  for (let i = 0; i < data.length; i++)
    expect(Math.abs(found[i]! - data[i]!), `${name}[${i}]: ${found[i]} and ${data[i]}`).toBeLessThanOrEqual(
      tolerance * Math.abs(data[i]!),
    );
}

describe('schedules against the reference tables', () => {
  const named: Record<string, [Schedule, 'sd1' | 'sdxl']> = {
    normal: [schedules.normal, 'sd1'],
    karras: [schedules.karras, 'sd1'],
    exponential: [schedules.exponential, 'sd1'],
    sgm_uniform: [schedules.sgmUniform, 'sd1'],
    simple: [schedules.simple, 'sd1'],
    beta: [schedules.beta, 'sd1'],
    ddim_uniform: [schedules.ddimUniform, 'sd1'],
    kl_optimal: [schedules.klOptimal, 'sd1'],
    ays_sd1: [schedules.alignYourSteps, 'sd1'],
    ays_sdxl: [schedules.alignYourSteps, 'sdxl'],
    'leading.sigmas': [schedules.leading, 'sd1'],
    'trailing.sigmas': [schedules.trailing, 'sd1'],
    'linspace.sigmas': [schedules.linear, 'sd1'],
    'karras.sigmas': [schedules.karras, 'sd1'],
    'exponential.sigmas': [schedules.exponential, 'sd1'],
    'beta.sigmas': [schedules.betaSigmas, 'sd1'],
  };
  const tables = [...expected.keys()].filter((name) => /^(sd|diffusers_euler)\/\d+\//.test(name));

  it.each(tables.filter((name) => named[name.split('/')[2]!]))('%s', (name) => {
    const [, steps, key] = name.split('/');
    const [schedule, table] = named[key!]!;
    expectRelative(schedule(Number(steps), diffusionLevels(table)), name);
  });

  it.each(tables.filter((name) => /\/(leading|trailing|karras|exponential|beta)\.timesteps$/.test(name)))(
    '%s',
    (name) => {
      const [, steps, key] = name.split('/');
      const [schedule] = named[key!.replace('timesteps', 'sigmas')]!;
      const levels = diffusionLevels();
      const found = [...schedule(Number(steps), levels)]
        .slice(0, -1)
        .map((sigma) => levels.timestepOf(sigma));
      for (const [i, timestep] of expected.get(name)!.data.entries())
        expect(Math.abs(found[i]! - timestep)).toBeLessThan(2e-2);
    },
  );

  it('trained sigmas', () => expectRelative(diffusionLevels().table!, 'sd/sigmas'));

  it('sigma of a fractional timestep, and back', () => {
    const levels = diffusionLevels();
    const timesteps = [...expected.get('sd/t_to_sigma.t')!.data];
    const sigmas = timesteps.map((t) => levels.sigmaAt(t));
    expectRelative(sigmas, 'sd/t_to_sigma.sigma');
    for (const [i, sigma] of sigmas.entries()) expect(levels.timestepOf(sigma)).toBeCloseTo(timesteps[i]!, 6);
  });

  const flows = [...expected.keys()].filter((name) => /^(flux|flow).*\.sigmas$/.test(name));
  it.each(flows)('%s', (name) => {
    const [model, key] = name.replace('.sigmas', '').split('/') as [string, string];
    const [tokens, steps] = key.includes('_') ? key.split('_').map(Number) : [0, Number(key)];
    const fixed = /^flow_static_shift([\d.]+)$/.exec(model);
    const shifts: Record<string, (sigma: number) => number> = {
      flux1_schnell: (sigma) => sigma,
      flux1_dev: timeShift(flux1Mu(tokens!)),
      flux2: timeShift(flux2Mu(tokens!, steps!)),
    };
    const shift = fixed ? staticShift(Number(fixed[1])) : shifts[model]!;
    expectRelative(schedules.flow(steps!, flowLevels(shift)), name);
  });

  it('shifts of FLUX.1-dev and FLUX.2', () => {
    interface Shift {
      image_seq_len: number;
      steps: number;
      flux1_dev_mu: number;
      flux2_mu: number;
    }
    for (const { image_seq_len, steps, flux1_dev_mu, flux2_mu } of golden.json<Shift[]>('flow_mu.json')) {
      expect(flux1Mu(image_seq_len)).toBeCloseTo(flux1_dev_mu, 12);
      expect(flux2Mu(image_seq_len, steps)).toBeCloseTo(flux2_mu, 12);
    }
  });
});
