// The noise that a diffusion network was trained on. It is plain data: files tell it, and a model's plan carries it.

export const BETA_SCHEDULES = ['scaled_linear', 'linear', 'squaredcos_cap_v2'] as const;
export type BetaSchedule = (typeof BETA_SCHEDULES)[number];

/** How schedules use the trained levels, where a file says more than the levels themselves. */
export interface LevelRange {
  /** The lowest and highest sigma that a schedule visits. Default: those of the levels. */
  lowest?: number;
  highest?: number;
  /** The schedule ends at the lowest trained sigma instead of 0. */
  endsAtLowest?: boolean;
  /** What the schedule "leading" adds to each of its timesteps. Default: 1. */
  stepsOffset?: number;
}

/** The discrete steps of DDPM (Ho et al. 2020): beta_1 … beta_T. */
export interface BetaNoise extends LevelRange {
  kind: 'betas';
  schedule: BetaSchedule;
  /** beta_1 and beta_T; squaredcos_cap_v2 has its own. */
  start: number;
  end: number;
  /** T */
  count: number;
  /** The betas themselves, instead of a schedule. */
  betas?: number[];
  /** Rescaled so that the last step has no signal left (Lin et al. 2023, algorithm 1). */
  zeroTerminalSnr: boolean;
}

/** The continuous sigmas of EDM (Karras et al. 2022); `data` is the paper's sigma_data. */
export interface EdmNoise extends LevelRange {
  kind: 'edm';
  min: number;
  max: number;
  data: number;
}

export type TrainedNoise = BetaNoise | EdmNoise;

/** Stable Diffusion 1.x, 2.x and XL. */
export const stableDiffusionNoise: BetaNoise = {
  kind: 'betas',
  schedule: 'scaled_linear',
  start: 0.00085,
  end: 0.012,
  count: 1000,
  zeroTerminalSnr: false,
};

/**
 * The last alpha-bar under zero terminal SNR. It is 0 in the paper, where sigma is infinite; published samplers use this
 * one, at which sigma is 4518.76.
 */
const LAST_ALPHA_BAR = 4.8973451890853435e-8;

/** Sigma of each step, ascending: sqrt((1 - ᾱ) / ᾱ), where ᾱ_t is the product of 1 - beta_1 … 1 - beta_t. */
export function sigmasOf(noise: BetaNoise): Float64Array {
  let product = 1;
  let alphaBars = betasOf(noise).map((beta) => {
    product *= 1 - beta;
    return product;
  });
  if (noise.zeroTerminalSnr) alphaBars = rescaleToZero(alphaBars);
  return Float64Array.from(alphaBars, (alphaBar) => Math.sqrt((1 - alphaBar) / alphaBar));
}

function betasOf({ schedule, start, end, count, betas }: BetaNoise): number[] {
  if (betas) return betas;
  const steps = Array.from({ length: count }, (_, t) => t);
  const even = (from: number, to: number, t: number) => from + ((to - from) * t) / Math.max(count - 1, 1);
  if (schedule === 'linear') return steps.map((t) => even(start, end, t));
  if (schedule === 'scaled_linear') return steps.map((t) => even(Math.sqrt(start), Math.sqrt(end), t) ** 2);
  // Nichol and Dhariwal 2021, equation 17, with s = 0.008 and betas of at most 0.999
  const f = (t: number) => Math.cos(((t / count + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  return steps.map((t) => Math.min(1 - f(t + 1) / f(t), 0.999));
}

/** sqrt(ᾱ) moved down until the last is 0, then scaled until the first is what it was. */
function rescaleToZero(alphaBars: number[]): number[] {
  const roots = alphaBars.map(Math.sqrt);
  const first = roots[0]!;
  const last = roots.at(-1)!;
  const rescaled = roots.map((root) => (((root - last) * first) / (first - last)) ** 2);
  rescaled[rescaled.length - 1] = LAST_ALPHA_BAR;
  return rescaled;
}

/** Without the digits that F32 adds to decimal fractions. */
function short(sigma: number): number {
  return Number(sigma.toPrecision(6));
}

/** For people: the levels and their range of sigmas. */
export function describeNoise(noise: TrainedNoise): string {
  if (noise.kind === 'edm')
    return `EDM, sigma ${short(noise.min)} to ${short(noise.max)}, sigma_data ${noise.data}${noise.endsAtLowest ? ', ends at the lowest sigma' : ''}`;
  const sigmas = sigmasOf(noise);
  const betas = noise.betas
    ? `${noise.betas.length} betas of its own`
    : `${noise.count} steps, ${noise.schedule}${noise.schedule === 'squaredcos_cap_v2' ? '' : ` betas ${noise.start} to ${noise.end}`}`;
  return [
    betas,
    `sigma ${sigmas[0]!.toFixed(4)} to ${sigmas.at(-1)!.toFixed(2)}`,
    ...(noise.zeroTerminalSnr ? ['zero terminal SNR'] : []),
    ...(noise.endsAtLowest ? ['ends at the lowest sigma'] : []),
  ].join(', ');
}
