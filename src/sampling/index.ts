// What the pipeline and the doors use of sampling.
export { combine } from './combine.js';
export { flux1Mu, flux2Mu, staticShift, timeShift } from './flow-shift.js';
export { createNoise, type NoiseKind, type NormalGenerator } from './noise.js';
export { diffusionLevels, flowLevels, type NoiseLevels } from './noise-levels.js';
export { addNoise, type Predict, toDenoise } from './parametrization.js';
export {
  findSampler,
  findSchedule,
  type SamplerEntry,
  type ScheduleEntry,
  samplerEntries,
  samplerNames,
  scheduleEntries,
  scheduleNames,
} from './registry.js';
export type { Denoise, NoiseSource, Sampler, SamplerOptions } from './types.js';
