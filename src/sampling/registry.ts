// Finds samplers and schedules by name, in the spellings of the WebUI, ComfyUI, diffusers and stable-diffusion.cpp.
import { ImageForgeError } from '../shared/errors.js';
import { dpmpp2m, dpmpp2mSde, dpmpp2mSdeHeun } from './multistep-samplers.js';
import type { NoiseLevels } from './noise-levels.js';
import * as samplers from './samplers.js';
import type { Schedule } from './schedules.js';
import * as schedules from './schedules.js';
import type { Sampler } from './types.js';
import { unipc, unipc3 } from './unipc.js';

interface Named {
  /** The spelling in requests and sidecars. */
  readonly name: string;
  /** For people, in the WebUI's spelling. */
  readonly label: string;
  /** Other spellings. Case and punctuation do not matter, and pp stands for ++. */
  readonly aliases: readonly string[];
}

export interface SamplerEntry extends Named {
  readonly sampler: Sampler;
  /** It draws noise while it runs, so another number of steps gives another picture for the same seed. */
  readonly stochastic: boolean;
  /** Network evaluations per step. */
  readonly evaluations: 1 | 2;
}

export interface ScheduleEntry extends Named {
  readonly schedule: Schedule;
  readonly kinds: readonly NoiseLevels['kind'][];
}

function sampler(
  name: string,
  label: string,
  aliases: string[],
  run: Sampler,
  traits: { stochastic?: boolean; evaluations?: 1 | 2 } = {},
): SamplerEntry {
  return { name, label, aliases, sampler: run, stochastic: false, evaluations: 1, ...traits };
}

const noisy = { stochastic: true };
const twice = { evaluations: 2 } as const;

export const samplerEntries: readonly SamplerEntry[] = [
  sampler('euler', 'Euler', ['EulerDiscreteScheduler', 'FlowMatchEulerDiscreteScheduler'], samplers.euler),
  sampler(
    'euler_a',
    'Euler a',
    ['euler_ancestral', 'EulerAncestralDiscreteScheduler'],
    samplers.eulerAncestral,
    noisy,
  ),
  sampler('heun', 'Heun', ['HeunDiscreteScheduler', 'FlowMatchHeunDiscreteScheduler'], samplers.heun, twice),
  sampler('dpm2', 'DPM2', ['dpm_2', 'KDPM2DiscreteScheduler'], samplers.dpm2, twice),
  sampler(
    'dpm2_a',
    'DPM2 a',
    ['dpm_2_ancestral', 'dpm2_ancestral', 'KDPM2AncestralDiscreteScheduler'],
    samplers.dpm2Ancestral,
    { ...noisy, ...twice },
  ),
  sampler('dpmpp_2s_a', 'DPM++ 2S a', ['dpmpp_2s_ancestral'], samplers.dpmpp2sAncestral, {
    ...noisy,
    ...twice,
  }),
  sampler('dpmpp_2m', 'DPM++ 2M', ['DPMSolverMultistepScheduler'], dpmpp2m),
  sampler('dpmpp_2m_sde', 'DPM++ 2M SDE', ['dpmpp_2m_sde_gpu'], dpmpp2mSde, noisy),
  sampler('dpmpp_2m_sde_heun', 'DPM++ 2M SDE Heun', ['dpmpp_2m_sde_heun_gpu'], dpmpp2mSdeHeun, noisy),
  sampler('lcm', 'LCM', ['LCMScheduler'], samplers.lcm, noisy),
  sampler('ddim', 'DDIM', ['DDIMScheduler', 'ddim_trailing'], samplers.ddim),
  sampler('unipc', 'UniPC', ['uni_pc', 'uni_pc_bh2', 'UniPCMultistepScheduler'], unipc),
  sampler('unipc3', 'UniPC order 3', [], unipc3),
];

const diffusion = ['diffusion'] as const;
const both = ['diffusion', 'flow'] as const;

function schedule(
  name: string,
  label: string,
  aliases: string[],
  make: Schedule,
  kinds: ScheduleEntry['kinds'],
): ScheduleEntry {
  return { name, label, aliases, schedule: make, kinds };
}

export const scheduleEntries: readonly ScheduleEntry[] = [
  schedule('normal', 'Normal', ['discrete', 'uniform'], schedules.normal, both),
  schedule('karras', 'Karras', [], schedules.karras, both),
  schedule('exponential', 'Exponential', ['polyexponential'], schedules.exponential, both),
  schedule('sgm_uniform', 'SGM Uniform', [], schedules.sgmUniform, both),
  schedule('simple', 'Simple', [], schedules.simple, both),
  schedule('beta', 'Beta', [], schedules.beta, both),
  schedule('beta_sigmas', 'Beta over sigmas', [], schedules.betaSigmas, both),
  schedule('ddim_uniform', 'DDIM', ['ddim'], schedules.ddimUniform, both),
  schedule('kl_optimal', 'KL Optimal', [], schedules.klOptimal, both),
  schedule('ays', 'Align Your Steps', [], schedules.alignYourSteps, diffusion),
  schedule('leading', 'Leading', [], schedules.leading, diffusion),
  schedule('trailing', 'Trailing', [], schedules.trailing, diffusion),
  schedule('linspace', 'Linspace', [], schedules.linear, diffusion),
  schedule('flow', 'Flow', ['flux', 'flux1', 'flux2', 'flow_match'], schedules.flow, ['flow']),
];

export const samplerNames: readonly string[] = samplerEntries.map(({ name }) => name);
export const scheduleNames: readonly string[] = scheduleEntries.map(({ name }) => name);

/**
 * Finds a sampler. A name like "DPM++ 2M Karras" names a schedule too.
 * @throws ImageForgeError INVALID_ARGUMENT that lists the samplers
 */
export function findSampler(name: string): { entry: SamplerEntry; schedule?: ScheduleEntry } {
  const key = keyOf(name);
  const entry = samplersByKey.get(key);
  if (entry) return { entry };
  for (const [suffix, found] of schedulesByKey) {
    const first = key.endsWith(suffix) ? samplersByKey.get(key.slice(0, -suffix.length)) : undefined;
    if (first) return { entry: first, schedule: found };
  }
  throw unknown('sampler', name, samplerEntries);
}

/**
 * Finds a schedule; with `kind`, only among those for such networks.
 * @throws ImageForgeError INVALID_ARGUMENT that lists the schedules
 */
export function findSchedule(name: string, kind?: NoiseLevels['kind']): ScheduleEntry {
  const allowed = scheduleEntries.filter(({ kinds }) => kind === undefined || kinds.includes(kind));
  const entry = schedulesByKey.get(keyOf(name));
  if (!entry || !allowed.includes(entry)) throw unknown('schedule', name, allowed, kind);
  return entry;
}

function keyOf(name: string): string {
  return name
    .toLowerCase()
    .replaceAll('++', 'pp')
    .replace(/[^a-z0-9]/g, '');
}

function indexByKey<Entry extends Named>(entries: readonly Entry[]): Map<string, Entry> {
  return new Map(
    entries.flatMap((entry) =>
      [entry.name, entry.label, ...entry.aliases].map((spelling): [string, Entry] => [
        keyOf(spelling),
        entry,
      ]),
    ),
  );
}

const samplersByKey = indexByKey(samplerEntries);
const schedulesByKey = indexByKey(scheduleEntries);

function unknown(what: string, name: string, entries: readonly Named[], kind?: string): ImageForgeError {
  const allowed = entries.map((entry) => entry.name);
  const where = kind ? ` for ${kind} models` : '';
  return new ImageForgeError('INVALID_ARGUMENT', `There is no ${what} "${name}"${where}.`, {
    hint: `Choose one of ${allowed.join(', ')}.`,
    details: { [what]: name, allowed },
  });
}
