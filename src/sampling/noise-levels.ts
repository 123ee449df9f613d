// Which noise levels a network was trained on, and which timestep stands for each. Schedules choose from the levels;
// samplers and parametrizations need only the sigmas.
import {
  type BetaNoise,
  type EdmNoise,
  type LevelRange,
  sigmasOf,
  stableDiffusionNoise,
  type TrainedNoise,
} from './trained-noise.js';

export interface NoiseLevels extends LevelRange {
  /** diffusion: x = x0 + sigma * noise; flow: x = (1 - sigma) * x0 + sigma * noise. */
  readonly kind: 'diffusion' | 'flow';
  /** Number of levels; index 0 has the least noise. */
  readonly count: number;
  /** Sigma of a level; a fraction lies between two. */
  sigmaAt(index: number): number;
  /** The timestep that the network takes: 0 … 999 (fractions too), log(sigma) / 4 for EDM, sigma itself for flow. */
  timestepOf(sigma: number): number;
  /** Sigmas of the discrete levels; undefined where the levels are continuous. */
  readonly table?: Float64Array;
  /** Standard deviation of the latents, sigma_data of Karras et al. 2022. Default: 1. */
  readonly sigmaData?: number;
  /** Which of the published Align-Your-Steps tables fits. */
  readonly alignYourSteps?: 'sd1' | 'sdxl';
}

/** Levels of Stable Diffusion 1.x, 2.x and XL, or of what a file says instead. */
export function diffusionLevels(
  alignYourSteps: 'sd1' | 'sdxl' = 'sd1',
  noise: TrainedNoise = stableDiffusionNoise,
): NoiseLevels {
  if (noise.kind === 'edm') return edmLevels(noise);
  const { lowest, highest, endsAtLowest, stepsOffset } = noise;
  const range: LevelRange = {
    ...(lowest !== undefined && { lowest }),
    ...(highest !== undefined && { highest }),
    ...(endsAtLowest && { endsAtLowest }),
    ...(stepsOffset !== undefined && { stepsOffset }),
  };
  return {
    ...discreteLevels(noise),
    ...range,
    // the tables were optimised for the sigmas of the published models
    ...(isPublished(noise) && { alignYourSteps }),
  };
}

/** Whether these are the levels of the published Stable Diffusion models. */
function isPublished({ schedule, start, end, count, betas, zeroTerminalSnr }: BetaNoise): boolean {
  const published = stableDiffusionNoise;
  return (
    !betas &&
    !zeroTerminalSnr &&
    schedule === published.schedule &&
    start === published.start &&
    end === published.end &&
    count === published.count
  );
}

function discreteLevels(noise: BetaNoise): NoiseLevels {
  const table = sigmasOf(noise);
  const logs = table.map(Math.log);
  return {
    kind: 'diffusion',
    count: table.length,
    table,
    sigmaAt: (index) => Math.exp(interpolate(logs, index)),
    timestepOf: (sigma) => positionOf(logs, Math.log(sigma)),
  };
}

/** c_noise = log(sigma) / 4 (Karras et al. 2022, table 1); 1000 levels, even in log sigma, for schedules that count. */
function edmLevels({ min, max, data, endsAtLowest }: EdmNoise): NoiseLevels {
  const count = 1000;
  const [low, high] = [Math.log(min), Math.log(max)];
  return {
    kind: 'diffusion',
    count,
    sigmaAt: (index) =>
      Math.exp(low + ((high - low) * Math.min(Math.max(index, 0), count - 1)) / (count - 1)),
    timestepOf: (sigma) => Math.log(sigma) / 4,
    sigmaData: data,
    ...(endsAtLowest && { endsAtLowest }),
  };
}

/** Rectified flow (FLUX): sigma 0 … 1 is the timestep, and `shift` moves sampling towards noise. */
export function flowLevels(shift: (sigma: number) => number = (sigma) => sigma): NoiseLevels {
  const count = 1000;
  return {
    kind: 'flow',
    count,
    sigmaAt: (index) => shift((index + 1) / count),
    timestepOf: (sigma) => sigma,
  };
}

/** Linear interpolation in a table, held at its ends. */
export function interpolate(table: Float64Array, position: number): number {
  const held = Math.min(Math.max(position, 0), table.length - 1);
  const low = Math.max(Math.min(Math.floor(held), table.length - 2), 0);
  const high = Math.min(low + 1, table.length - 1);
  return table[low]! + (held - low) * (table[high]! - table[low]!);
}

/** The inverse of interpolate for an ascending table. */
function positionOf(table: Float64Array, value: number): number {
  const above = table.findIndex((entry) => entry >= value);
  if (above === 0) return 0;
  if (above === -1) return table.length - 1;
  return above - 1 + (value - table[above - 1]!) / (table[above]! - table[above - 1]!);
}
