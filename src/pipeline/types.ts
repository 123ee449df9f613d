// What the pipeline takes and gives. Everything is resolved here: no defaults, no model keys, no paths to pictures.
import type { ModelFiles } from '../families/types.js';
import type { Pixels } from '../native/addon.js';
import type { MemoryChoice } from '../shared/memory-modes.js';
import type { PromptSyntax } from '../shared/prompt-syntaxes.js';

export type Task = 'text2img' | 'img2img' | 'inpaint';

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
  /** 0 … 2^53 - 1; picture i of a batch uses seed + i. */
  seed: number;
  sampler: string;
  schedule: string;
  /** Where noise comes from: 'philox' as the WebUI and stable-diffusion.cpp, 'torch' as ComfyUI and diffusers. */
  noise: 'philox' | 'torch';
  /** Instead of the plan's: some files don't tell that they predict the velocity. */
  prediction?: 'eps' | 'v';
  batch: number;
  /** 1 = last layer. */
  clipSkip: number;
  /** img2img and inpaint: share of the schedule that runs, 0 … 1. */
  strength: number;
  /** Already at width x height. */
  init?: Pixels;
  /** One byte a pixel, 255 = repaint; already at width x height. */
  mask?: Uint8Array;
  /** Pictures that FLUX.1 Kontext and FLUX.2 look at, each of its own size. */
  references?: Pixels[];
  /** Send a preview with every n-th step; 0 = never. */
  previewEvery: number;
  /** Default: 'auto', what fits. */
  memoryMode?: MemoryChoice;
  loras?: { path: string; strength: number }[];
  /** Words of the prompts that stand for learned vectors, and the files that hold them. */
  embeddings?: { word: string; path: string }[];
  /** A tiny autoencoder's file: it draws the previews, and the finished picture too where `final`. */
  tiny?: { path: string; final: boolean };
  /** A ControlNet and the picture that it looks at. */
  control?: Control;
  /** Makes the finished pictures larger. */
  upscaler?: { path: string };
  /** The picture is enlarged and gone over once more. */
  hires?: HiresPass;
}

export interface Control {
  /** File or folder of the ControlNet. */
  path: string;
  /** A map of edges, of depth …; already at width x height. */
  image: Pixels;
  /** The same at the size of the second pass, where there is one. */
  hiresImage?: Pixels;
  /** How much it says; 0 is nothing, 1 what it was trained for. */
  strength: number;
  /** Shares of a pass's steps, 0 … 1: it is silent before the one and after the other. */
  start: number;
  end: number;
}

/** How a finished latent grows before the second pass: itself, or as the picture it stands for. */
export type HiresUpscaler = 'latent' | 'pixel';

export interface HiresPass {
  /** Of the result. */
  width: number;
  height: number;
  /** What was asked for; the sides are rounded to what the model can do. */
  scale: number;
  /** Steps that really run, over the last share `strength` of a schedule. */
  steps: number;
  /** 0 … 1 */
  strength: number;
  upscaler: HiresUpscaler;
}

/** One picture through an upscaler. */
export interface UpscaleRequest {
  /** The upscaler's file. */
  model: string;
  image: Pixels;
  /** Largest side of a tile in pixels of the source. Default: from the memory that is free. */
  tile?: number;
}

export interface UpscaleResult {
  image: Pixels;
  seconds: number;
}

/** What a run is doing: loading weights, encoding prompts, denoising, decoding the latent, upscaling. */
export type Phase = 'load' | 'encode' | 'denoise' | 'decode' | 'upscale';

/** How far a run is. */
export interface Progress {
  /** What it is doing. */
  phase: Phase;
  /** Picture of the batch, from 0. */
  image: number;
  /** Finished steps (of upscaling: tiles); 0 when the phase begins. */
  step: number;
  /** All steps of the phase. */
  steps: number;
  /** Which pass over the pictures runs, from 1, of how many: hires fix has two. */
  pass: number;
  passes: number;
  /** Steps of all pictures and passes that are done, of how many; both 0 before they are known. */
  done: number;
  total: number;
  /** A small picture of the denoised latent. */
  preview?: Pixels;
}

export interface PipelineResult {
  images: { pixels: Pixels; seed: number }[];
  /** Seconds by phase. */
  seconds: Record<Phase, number>;
  family: string;
  /** For people: what of the request had no effect, and why. */
  notes: string[];
}

export interface RunOptions {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}
