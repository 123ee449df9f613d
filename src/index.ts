// The package's library API.

export type { ModelFiles, Part } from './families/types.js';
export { ImageForge, type ImageForgeOptions } from './library/image-forge.js';
export type {
  EditOptions,
  GenerateOptions,
  InpaintOptions,
  PictureInput,
  TextToImageOptions,
  UpscaleOptions,
} from './library/options.js';
export { GeneratedImage, type GenerationResult, Picture } from './library/result.js';
export type { GenerationRun } from './library/run.js';
export type { Device, Pixels } from './native/addon.js';
export type { Phase, Progress } from './pipeline/types.js';
export { type ErrorCode, ImageForgeError } from './shared/errors.js';
