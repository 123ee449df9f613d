// What the pipeline and the doors take from sampling.
export { flux1Mu, flux2Mu, timeShift } from './flow-shift.js';
export { createNoise } from './noise.js';
export { diffusionLevels, flowLevels, type NoiseLevels } from './noise-levels.js';
export { addNoise, toDenoise } from './parametrization.js';
export { findSampler, findSchedule, samplerEntries, scheduleEntries } from './registry.js';
export type { Denoise, Prediction } from './types.js';
