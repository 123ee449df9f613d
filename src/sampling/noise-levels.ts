// Which noise levels a network was trained on, and how they map to the timestep it is given. Schedules pick from
// them, samplers and parametrizations need no more than the sigmas.

export interface NoiseLevels {
  /** diffusion: x = x0 + sigma * noise; flow: x = (1 - sigma) * x0 + sigma * noise. */
  readonly kind: 'diffusion' | 'flow';
  /** Levels in training; index 0 is the least noise. */
  readonly count: number;
  /** Sigma of a level; a fraction lies between two. */
  sigmaAt(index: number): number;
  /** What the network takes as its timestep: 0 … 999 for diffusion (fractions too), sigma itself for flow. */
  timestepOf(sigma: number): number;
  /** Which of the published Align-Your-Steps tables fits. */
  readonly alignYourSteps?: 'sd1' | 'sdxl';
}

/** Scaled-linear betas 0.00085 to 0.012 over 1000 steps: SD 1.x, SD 2.x and SDXL. */
export function diffusionLevels(alignYourSteps: 'sd1' | 'sdxl' = 'sd1'): NoiseLevels {
  return {
    kind: 'diffusion',
    count: trainedSigmas.length,
    sigmaAt: (index) => Math.exp(interpolate(logSigmas, index)),
    timestepOf: (sigma) => positionOf(logSigmas, Math.log(sigma)),
    alignYourSteps,
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

/** Sigmas of the 1000 timesteps, ascending: sqrt((1 - a) / a) with a the cumulative product of 1 - beta. */
export const trainedSigmas: Float64Array = scaledLinearSigmas(0.00085, 0.012, 1000);
const logSigmas = trainedSigmas.map(Math.log);

function scaledLinearSigmas(first: number, last: number, count: number): Float64Array {
  let signal = 1;
  return Float64Array.from({ length: count }, (_, t) => {
    const beta = (Math.sqrt(first) + ((Math.sqrt(last) - Math.sqrt(first)) * t) / (count - 1)) ** 2;
    signal *= 1 - beta;
    return Math.sqrt((1 - signal) / signal);
  });
}

/** Linear interpolation in a table, held at its ends. */
export function interpolate(table: Float64Array, position: number): number {
  const held = Math.min(Math.max(position, 0), table.length - 1);
  const low = Math.min(Math.floor(held), table.length - 2);
  return table[low]! + (held - low) * (table[low + 1]! - table[low]!);
}

/** The inverse of interpolate for an ascending table. */
function positionOf(table: Float64Array, value: number): number {
  const above = table.findIndex((entry) => entry >= value);
  if (above === 0) return 0;
  if (above === -1) return table.length - 1;
  return above - 1 + (value - table[above - 1]!) / (table[above]! - table[above - 1]!);
}
