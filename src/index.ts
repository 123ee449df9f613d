/**
 * ImageForge as a library: make, change, repaint and enlarge images with Stable Diffusion and FLUX on this machine.
 *
 * Start with {@link ImageForge}. Sizes are pixels, times are seconds, memory is bytes; what a method throws or rejects
 * with is an {@link ImageForgeError}.
 *
 * @module
 */

export type { ModelFiles, Part } from './families/types.js';
export { ImageForge, type ImageForgeOptions } from './library/image-forge.js';
export type {
  ControlOptions,
  EditOptions,
  GenerateOptions,
  InpaintOptions,
  LoraOptions,
  PictureInput,
  TextToImageOptions,
  UpscaleOptions,
} from './library/options.js';
export {
  GeneratedImage,
  type GenerationResult,
  type GenerationSettings,
  type ImagePrompts,
  Picture,
} from './library/result.js';
export type { GenerationRun } from './library/run.js';
export type { Device, Pixels } from './native/addon.js';

export type { HiresOptions } from './pipeline/resolve.js';
export type { HiresUpscaler, Phase, Progress } from './pipeline/types.js';
export { type ErrorCode, type ErrorOptions, ImageForgeError, type SerializedError } from './shared/errors.js';
export type { MemoryChoice, MemoryMode } from './shared/memory-modes.js';
