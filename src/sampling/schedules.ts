// Schedules choose the sigmas that a sampler visits, from the first to the last, which is 0 unless the model's file says
// otherwise. Each is a pure function of the number of steps and the network's noise levels. They reproduce the numbers
// of k-diffusion (Karras et al. 2022), ComfyUI, the WebUI and diffusers.
import { ImageForgeError } from '../shared/errors.js';
import { betaQuantile } from './beta-distribution.js';
import { interpolate, type NoiseLevels } from './noise-levels.js';

/** Usually steps + 1 sigmas: fewer if steps coincide, and one more from `ddim_uniform` if the steps do not divide. */
export type Schedule = (steps: number, levels: NoiseLevels) => Float32Array;

/** Even steps over the levels. */
export const normal: Schedule = (steps, levels) =>
  finish(
    linspace(levels.count - 1, 0, steps).map((index) => levels.sigmaAt(index)),
    levels,
  );

/** Even steps in sigma^(1/7), Karras et al. 2022. */
export const karras: Schedule = (steps, levels) => {
  const rho = 7;
  const ramp = linspace(highest(levels) ** (1 / rho), lowest(levels) ** (1 / rho), steps);
  return finish(
    ramp.map((root) => root ** rho),
    levels,
  );
};

/** Even steps in log sigma. */
export const exponential: Schedule = (steps, levels) =>
  finish(linspace(Math.log(highest(levels)), Math.log(lowest(levels)), steps).map(Math.exp), levels);

/** Like `normal`, without the last and smallest level (Stability's generative-models). */
export const sgmUniform: Schedule = (steps, levels) =>
  finish(
    linspace(levels.count - 1, 0, steps + 1)
      .slice(0, -1)
      .map((index) => levels.sigmaAt(index)),
    levels,
  );

/** Every n-th level from the top. */
export const simple: Schedule = (steps, levels) =>
  finish(
    range(steps).map((i) => levels.sigmaAt(levels.count - 1 - Math.floor((i * levels.count) / steps))),
    levels,
  );

/** Levels at the quantiles of Beta(0.6, 0.6), which are denser at both ends (Lee et al. 2024, as in ComfyUI). */
export const beta: Schedule = (steps, levels) => {
  const indices = range(steps).map((i) =>
    Math.round(betaQuantile(1 - i / steps, 0.6, 0.6) * (levels.count - 1)),
  );
  return finish(
    indices.map((index) => levels.sigmaAt(index)),
    levels,
  );
};

/** Quantiles of the same distribution over sigma instead of the levels (WebUI, diffusers). */
export const betaSigmas: Schedule = (steps, levels) => {
  const span = highest(levels) - lowest(levels);
  const sigmas = linspace(1, 0, steps).map((p) => lowest(levels) + span * betaQuantile(p, 0.6, 0.6));
  return finish(sigmas, levels);
};

/** Every (count / steps)-th level, starting from the second (Song et al. 2021, as in ComfyUI). */
export const ddimUniform: Schedule = (steps, levels) => {
  const stride = Math.max(Math.floor(levels.count / steps), 1);
  const indices = range(Math.ceil((levels.count - 1) / stride)).map((i) => 1 + i * stride);
  return finish(
    indices.reverse().map((index) => levels.sigmaAt(index)),
    levels,
  );
};

/** Even steps in arctan sigma, which bounds the KL divergence (Sabour et al. 2024, theorem 3.1). */
export const klOptimal: Schedule = (steps, levels) =>
  finish(linspace(Math.atan(highest(levels)), Math.atan(lowest(levels)), steps).map(Math.tan), levels);

/** Align Your Steps (Sabour et al. 2024): ten optimised steps; other numbers interpolate them in log sigma. */
export const alignYourSteps: Schedule = (steps, levels) => {
  if (!levels.alignYourSteps)
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      'The schedule ays is made for the published noise levels of SD 1.x, SD 2.x and SDXL; this model has others.',
      { hint: 'Choose another schedule for this model, e.g. simple or beta.' },
    );
  const logs = Float64Array.from(alignYourStepsTables[levels.alignYourSteps], Math.log);
  const positions = linspace(0, logs.length - 1, steps + 1).slice(0, -1);
  return finish(
    positions.map((position) => Math.exp(interpolate(logs, position))),
    levels,
  );
};

const alignYourStepsTables = {
  sd1: [
    14.6146412293, 6.4745760956, 3.8636745985, 2.694615152, 1.8841921177, 1.3943805092, 0.9642583904,
    0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582,
  ],
  sdxl: [
    14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289,
    0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582,
  ],
};

/** diffusers' "leading" spacing: every (1000 / steps)-th timestep from the low end, plus an offset, usually 1. */
export const leading: Schedule = (steps, levels) => {
  const stride = Math.max(Math.floor(levels.count / steps), 1);
  return atTimesteps(
    range(steps).map((i) => (steps - 1 - i) * stride + (levels.stepsOffset ?? 1)),
    levels,
  );
};

/** diffusers' "trailing" spacing: every (1000 / steps)-th timestep from the high end. */
export const trailing: Schedule = (steps, levels) =>
  atTimesteps(
    range(steps).map((i) => roundHalfEven(levels.count - (i * levels.count) / steps) - 1),
    levels,
  );

/**
 * diffusers' "linspace" spacing: like `normal`, but sigma is interpolated itself and not its logarithm, and a single
 * step starts at the lowest level.
 */
export const linear: Schedule = (steps, levels) =>
  atTimesteps(linspace(0, levels.count - 1, steps).reverse(), levels);

/** FLUX: even steps in sigma, 1 … 1/steps, before the shift. The levels apply the shift. */
export const flow: Schedule = (steps, levels) =>
  finish(
    range(steps).map((i) => levels.sigmaAt(levels.count * (1 - i / steps) - 1)),
    levels,
  );

function atTimesteps(timesteps: number[], levels: NoiseLevels): Float32Array {
  const { table } = levels;
  const sigmaAt = (t: number) => (table ? interpolate(table, t) : levels.sigmaAt(t));
  return finish(timesteps.map(sigmaAt), levels);
}

const highest = (levels: NoiseLevels) => levels.highest ?? levels.sigmaAt(levels.count - 1);
const lowest = (levels: NoiseLevels) => levels.lowest ?? levels.sigmaAt(0);

/** Adds the last sigma. Leaves out steps of no length, by which multistep samplers would divide. */
function finish(sigmas: readonly number[], levels: NoiseLevels): Float32Array {
  const rounded = Float32Array.of(...sigmas, levels.endsAtLowest ? levels.sigmaAt(0) : 0);
  return rounded.filter((sigma, i) => sigma !== rounded[i - 1]);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** `count` even steps from first to last, both included; a single step is the first. */
function linspace(first: number, last: number, count: number): number[] {
  return range(count).map((i) => (i === 0 ? first : first + ((last - first) * i) / (count - 1)));
}

/** Rounds halves to the even number, as numpy does. */
function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
