// What the pipeline takes and returns. Requests are fully resolved: no defaults, no model keys, no paths to pictures.
import type { ModelFiles } from '../families/types.js';
import type { Pixels } from '../native/addon.js';
import type { MemoryChoice } from '../shared/memory-modes.js';
import type { PromptSyntax } from '../shared/prompt-syntaxes.js';
import type { Seed } from '../shared/seed.js';

export type Task = 'text2img' | 'img2img' | 'inpaint';

/** A LoRA file and how strong it is. */
export interface LoraRequest {
  path: string;
  strength: number;
  /** Of what it changes in text encoders; default: `strength`. */
  textStrength?: number | undefined;
}

export interface PipelineRequest {
  task: Task;
  model: ModelFiles;
  prompt: string;
  negativePrompt: string;
  /** For each picture of the batch its own prompts, where they differ. */
  pictures?: readonly { prompt: string; negativePrompt: string }[];
  /** Whose emphasis, schedules and AND the prompts are written in. Default: 'webui'. */
  promptSyntax?: PromptSyntax;
  width: number;
  height: number;
  steps: number;
  guidance: number;
  /** φ of guidance rescale, 0 … 1. Default: 0, none. */
  guidanceRescale?: number;
  /** Picture i of a batch, from 0, uses seed + i. */
  seed: Seed;
  sampler: string;
  schedule: string;
  /** Random numbers: 'philox' as in the WebUI and stable-diffusion.cpp, 'torch' as in ComfyUI and diffusers. */
  noise: 'philox' | 'torch';
  /** Replaces the plan's prediction: some files don't say that they predict the velocity. */
  prediction?: 'eps' | 'v';
  batch: number;
  /** Which layer of the text encoder is read, counted from the last: 1 is the last. */
  clipSkip: number;
  /** For img2img and inpaint: share of the schedule that runs, 0 … 1. */
  strength: number;
  /** Already at width x height. */
  init?: Pixels;
  /** One byte a pixel, 255 = repaint; already at width x height. */
  mask?: Uint8Array;
  /** Reference pictures for FLUX.1 Kontext and FLUX.2, each of its own size. */
  references?: Pixels[];
  /** Send a preview with every n-th step; 0 = never. */
  previewEvery: number;
  /** Default: 'auto', the roomiest mode that fits. */
  memoryMode?: MemoryChoice;
  loras?: LoraRequest[];
  /** Words of the prompts that stand for learned vectors, and the files with the vectors. */
  embeddings?: { word: string; path: string }[];
  /** File of a tiny autoencoder. It draws the previews, and with `final` the finished pictures too. */
  tiny?: { path: string; final: boolean };
  /** A ControlNet and its picture. */
  control?: Control;
  /** Enlarges the finished pictures. */
  upscaler?: { path: string };
  /** Enlarges the picture and denoises it again. */
  hires?: HiresPass;
}

export interface Control {
  /** The ControlNet's file or folder. */
  path: string;
  /** A map of edges, depth …; already at width x height. */
  image: Pixels;
  /** The same map at the size of the second pass, if there is one. */
  hiresImage?: Pixels;
  /** Factor on its residuals: 0 has no effect, 1 is what it was trained for. */
  strength: number;
  /** Shares of a pass's steps, 0 … 1: the ControlNet has no effect before `start` and after `end`. */
  start: number;
  end: number;
}

/** What is enlarged before the second pass: the latent, or the picture it decodes to. */
export type HiresUpscaler = 'latent' | 'pixel';

export interface HiresPass {
  /** Size of the result. */
  width: number;
  height: number;
  /** The scale that was asked for. Width and height are rounded to multiples that the model takes. */
  scale: number;
  /** Steps that run: the last share `strength` of a longer schedule. */
  steps: number;
  /** 0 … 1 */
  strength: number;
  upscaler: HiresUpscaler;
}

/** One picture to enlarge. */
export interface UpscaleRequest {
  /** The upscaler's file. */
  model: string;
  image: Pixels;
  /** Largest side of a tile in pixels of the source. Default: follows from the free memory. */
  tile?: number;
}

export interface UpscaledPixels {
  image: Pixels;
  seconds: number;
}

/** What a run is doing: loading weights, encoding prompts, denoising, decoding the latent, upscaling. */
export type Phase = 'load' | 'encode' | 'denoise' | 'decode' | 'upscale';

/** How far a run is. */
export interface Progress {
  /** What it is doing. */
  phase: Phase;
  /** Index of the picture in the batch, from 0. */
  image: number;
  /** Finished steps, or tiles when upscaling; 0 when the phase begins. */
  step: number;
  /** All steps of the phase. */
  steps: number;
  /** The pass over the pictures that runs, from 1. */
  pass: number;
  /** All passes: hires fix has two, anything else one. */
  passes: number;
  /** Finished steps of all pictures and passes; 0 before they are known. */
  done: number;
  /** Steps of all pictures and passes; 0 before they are known. */
  total: number;
  /** A small picture of the denoised latent. */
  preview?: Pixels;
}

export interface PipelineResult {
  images: { pixels: Pixels; seed: Seed }[];
  /** Seconds that each phase took. */
  seconds: Record<Phase, number>;
  family: string;
  /** Tells people which parts of the request had no effect, and why. */
  notes: string[];
}

export interface RunOptions {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}
