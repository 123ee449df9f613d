// Turns what a user asked and what the model prefers into a request without gaps. Defaults are filled in only here.
import { randomInt } from 'node:crypto';
import type { ModelFiles, ModelPlan, ReferenceRule } from '../families/types.js';
import type { Pixels } from '../native/addon.js';
import { diffusionLevels, findSampler, findSchedule } from '../sampling/index.js';
import { ImageForgeError } from '../shared/errors.js';
import { DEFAULT_STRENGTH, LIMITS } from '../shared/limits.js';
import { MEMORY_MODES, type MemoryChoice } from '../shared/memory-modes.js';
import { PROMPT_SYNTAXES, type PromptSyntax } from '../shared/prompt-syntaxes.js';
import { parseSeed, requireSeeds, type SeedInput } from '../shared/seed.js';
import type { Control, HiresPass, HiresUpscaler, LoraRequest, PipelineRequest, Task } from './types.js';

/** What a caller may ask for. Sizes are in pixels; undefined means the default. */
export interface GenerationOptions {
  prompt: string;
  /** Default: ''. */
  negativePrompt?: string | undefined;
  /** For each picture of the batch its own prompts, where they differ. Default: prompt and negativePrompt for all. */
  pictures?: readonly { prompt: string; negativePrompt: string }[] | undefined;
  /** Whose emphasis, schedules and AND the prompts are written in. Default: 'webui'. */
  promptSyntax?: PromptSyntax | undefined;
  /** Multiples of 8 (FLUX: 16). Default: the initial picture's size, else the model's. */
  width?: number | undefined;
  height?: number | undefined;
  /** 1 … 200. Default: the model's. */
  steps?: number | undefined;
  /** Classifier-free guidance, 0 … 50; 0 and 1 skip the negative prompt. Default: the model's. */
  guidance?: number | undefined;
  /** Guidance rescale, 0 … 1; 0.7 suits models trained to zero terminal SNR. Default: 0, none. */
  guidanceRescale?: number | undefined;
  /** 0 … 2^64 - 1, also for the last picture of a batch. Default: a random one below 2^32. */
  seed?: SeedInput | undefined;
  /** In any program's spelling ("dpmpp_2m", "DPM++ 2M Karras"). Default: the model's. */
  sampler?: string | undefined;
  /** Default: the one in the sampler's name, else the model's. */
  schedule?: string | undefined;
  /** Default: 'philox'. */
  noise?: 'philox' | 'torch' | undefined;
  /** What a Stable Diffusion network predicts. Default: what its file says. */
  prediction?: 'eps' | 'v' | undefined;
  /** Number of pictures, 1 … 16. Default: 1. */
  batch?: number | undefined;
  /** Which layer of the text encoder is read, counted from the last, 1 … 12. Default: 1. */
  clipSkip?: number | undefined;
  /** Share of the schedule that runs over an initial picture, 0 … 1. Default: 0.6, or 0.85 with a mask. */
  strength?: number | undefined;
  init?: Pixels | undefined;
  /** One byte a pixel of `init`, 255 = repaint. */
  mask?: Uint8Array | undefined;
  /** Pictures to look at (FLUX.1 Kontext, FLUX.2), each of its own size; sides are multiples as above. */
  references?: Pixels[] | undefined;
  /** Send a preview with every n-th step. Default: 0, no previews. */
  previewEvery?: number | undefined;
  loras?: LoraRequest[] | undefined;
  embeddings?: { word: string; path: string }[] | undefined;
  /** How the networks are kept in memory. Default: 'auto', the roomiest mode that fits. */
  memoryMode?: MemoryChoice | undefined;
  /** File of a tiny autoencoder (TAESD) that draws the previews. */
  tae?: string | undefined;
  /** Let the tiny autoencoder draw the finished pictures too. Default: false. */
  fastDecode?: boolean | undefined;
  /** File of an upscaler that makes the finished pictures larger. */
  upscaler?: string | undefined;
  /** A second pass over the enlarged picture; not possible with an initial picture. Default: none. */
  hires?: HiresOptions | undefined;
}

/** A second pass over the enlarged picture. */
export interface HiresOptions {
  /** 1 … 8. Default: 2. */
  scale?: number | undefined;
  /** How much the second pass may change, 0 … 1. Default: 0.6. */
  strength?: number | undefined;
  /** Steps of the second pass. Default: as many as in the first. */
  steps?: number | undefined;
  /** Default: 'latent', which needs a strength of at least 0.5; 'pixel' also works below that. */
  upscaler?: HiresUpscaler | undefined;
}

/**
 * A request that the pipeline runs as it is. The pictures decide the task: inpaint with a mask, img2img with an initial
 * picture alone, text2img without either.
 * @throws ImageForgeError INVALID_ARGUMENT naming the option, its value and what is allowed.
 */
export function resolveRequest(
  options: GenerationOptions,
  model: ModelFiles,
  plan: Pick<ModelPlan, 'defaults' | 'latent' | 'prediction' | 'references' | 'noise'> & { name?: string },
): PipelineRequest {
  const { defaults } = plan;
  const {
    prompt,
    negativePrompt = '',
    init,
    mask,
    noise = 'philox',
    batch = 1,
    clipSkip = defaults.clipSkip ?? 1,
    guidanceRescale = 0,
    loras,
    references,
    memoryMode,
  } = options;
  const { strength = mask ? DEFAULT_STRENGTH.inpaint : DEFAULT_STRENGTH.edit } = options;
  const { previewEvery = 0 } = options;
  const { tae, fastDecode: final = false } = options;
  const width = options.width ?? init?.width ?? defaults.width;
  const height = options.height ?? init?.height ?? defaults.height;
  const steps = options.steps ?? defaults.steps;
  const guidance = options.guidance ?? defaults.guidance;
  const { entry: sampler, schedule: implied } = findSampler(options.sampler ?? defaults.sampler);
  const schedule = findSchedule(
    options.schedule ?? implied?.name ?? defaults.schedule,
    plan.prediction === 'flow' ? 'flow' : 'diffusion',
  );

  if (typeof prompt !== 'string') refuse('prompt', prompt, 'a string');
  const multiple = Math.max(8, plan.latent.multiple ?? plan.latent.factor);
  requireSide('width', width, multiple);
  requireSide('height', height, multiple);
  requireInteger('steps', steps, 1, LIMITS.steps);
  requireNumber('guidance', guidance, 0, LIMITS.guidance);
  requireNumber('guidanceRescale', guidanceRescale, 0, 1);
  requireInteger('batch', batch, 1, LIMITS.batch);
  const { promptSyntax, pictures } = options;
  if (promptSyntax !== undefined && !PROMPT_SYNTAXES.includes(promptSyntax))
    refuse('promptSyntax', promptSyntax, PROMPT_SYNTAXES.join(', '));
  if (pictures && pictures.length !== batch)
    refuse('pictures', pictures.length, `${batch}, one for each picture`);
  const seed = parseSeed(options.seed ?? randomInt(2 ** 32));
  requireSeeds(seed, batch);
  const { prediction } = options;
  if (prediction !== undefined && prediction !== 'eps' && prediction !== 'v')
    refuse('prediction', prediction, 'eps or v');
  if (prediction !== undefined && (plan.prediction === 'flow' || plan.prediction === 'edm'))
    refuse('prediction', prediction, `none: this model predicts ${plan.prediction}`);
  // made only for the published levels: refused now, and not when the model is loaded
  if (schedule.name === 'ays' && plan.noise) schedule.schedule(steps, diffusionLevels('sd1', plan.noise));
  if (noise !== 'philox' && noise !== 'torch') refuse('noise', noise, 'philox or torch');
  if (references && references.length > 0) requireReferences(references.length, plan);
  if (memoryMode && !['auto', ...MEMORY_MODES].includes(memoryMode))
    refuse('memoryMode', memoryMode, `auto, ${MEMORY_MODES.join(', ')}`);
  requireInteger('clipSkip', clipSkip, 1, LIMITS.clipSkip);
  requireNumber('strength', strength, 0, 1);
  requireInteger('previewEvery', previewEvery, 0, LIMITS.steps);
  for (const { path, strength: value, textStrength = value } of loras ?? []) {
    requireNumber(`strength of LoRA ${path}`, value, -LIMITS.loraStrength, LIMITS.loraStrength);
    requireNumber(`text strength of LoRA ${path}`, textStrength, -LIMITS.loraStrength, LIMITS.loraStrength);
  }
  for (const [i, picture] of (references ?? []).entries()) requireReference(picture, i, multiple);
  if (init) requirePixels(init, width, height);
  if (mask) requireMask(mask, init, width, height);

  if (options.hires && init) refuse('hires', 'a second pass over an initial picture', 'no initial picture');
  const hires = options.hires && resolveHires(options.hires, { width, height, steps, multiple });
  if (final && tae === undefined) refuse('fastDecode', true, 'a tiny autoencoder in tae as well');
  const task: Task = mask ? 'inpaint' : init ? 'img2img' : 'text2img';
  return {
    task,
    model,
    prompt,
    negativePrompt,
    width,
    height,
    steps,
    guidance,
    seed,
    sampler: sampler.name,
    schedule: schedule.name,
    noise,
    batch,
    clipSkip,
    strength,
    previewEvery,
    ...(init && { init }),
    ...(mask && { mask }),
    ...(references && references.length > 0 && { references }),
    ...(loras && loras.length > 0 && { loras }),
    ...(options.embeddings && options.embeddings.length > 0 && { embeddings: options.embeddings }),
    ...(hires && { hires }),
    ...(memoryMode && memoryMode !== 'auto' && { memoryMode }),
    ...(tae !== undefined && (final || previewEvery > 0) && { tiny: { path: tae, final } }),
    ...(options.upscaler !== undefined && { upscaler: { path: options.upscaler } }),
    ...(prediction && { prediction }),
    ...(guidanceRescale > 0 && { guidanceRescale }),
    ...(promptSyntax && promptSyntax !== 'webui' && { promptSyntax }),
    ...(pictures && { pictures }),
  };
}

/** Size of the finished pictures. */
export function finalSize({ hires, width, height }: Pick<PipelineRequest, 'hires' | 'width' | 'height'>): {
  width: number;
  height: number;
} {
  return { width: hires?.width ?? width, height: hires?.height ?? height };
}

function resolveHires(
  { scale = 2, strength = 0.6, steps, upscaler = 'latent' }: HiresOptions,
  first: { width: number; height: number; steps: number; multiple: number },
): HiresPass {
  requireNumber('hires.scale', scale, 1, LIMITS.hiresScale);
  requireNumber('hires.strength', strength, 0, 1);
  requireInteger('hires.steps', steps ?? first.steps, 1, LIMITS.steps);
  if (upscaler !== 'latent' && upscaler !== 'pixel') refuse('hires.upscaler', upscaler, 'latent or pixel');
  const grow = (side: number) => Math.round((side * scale) / first.multiple) * first.multiple;
  const [width, height] = [grow(first.width), grow(first.height)];
  requireSide('hires width', width, first.multiple);
  requireSide('hires height', height, first.multiple);
  return { width, height, scale, strength, steps: steps ?? first.steps, upscaler };
}

/** @throws ImageForgeError INVALID_ARGUMENT naming the option, its value and what is allowed. */
export function resolveControl(options: {
  strength?: number | undefined;
  start?: number | undefined;
  end?: number | undefined;
}): Pick<Control, 'strength' | 'start' | 'end'> {
  const { strength = 1, start = 0, end = 1 } = options;
  requireNumber('control strength', strength, 0, LIMITS.controlStrength);
  requireNumber('control start', start, 0, 1);
  requireNumber('control end', end, 0, 1);
  if (start >= end) refuse('control start', start, `less than the end, ${end}`);
  return { strength, start, end };
}

/** @throws ImageForgeError UNSUPPORTED where the model takes none, INVALID_ARGUMENT where there are too many. */
export function requireReferences(
  count: number,
  { references, name = 'this model' }: { references?: ReferenceRule; name?: string },
): ReferenceRule {
  if (!references)
    throw new ImageForgeError('UNSUPPORTED', `${name} takes no reference pictures.`, {
      hint: 'FLUX.2 and FLUX.1 Kontext do; to change one picture, edit it instead.',
      details: { option: 'references' },
    });
  if (count > references.most) refuse('references', count, `at most ${references.most} for ${name}`);
  return references;
}

/** @throws ImageForgeError INVALID_ARGUMENT for a side that no picture may have. */
export function requireSide(
  name: string,
  value: number,
  multiple: number,
  min: number = LIMITS.minSide,
): void {
  if (!Number.isInteger(value) || value < min || value > LIMITS.maxSide || value % multiple !== 0)
    refuse(name, value, `a positive multiple of ${multiple} from ${min} up to ${LIMITS.maxSide}`);
}

function requireInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    refuse(name, value, `a whole number from ${min} to ${max}`);
}

function requireNumber(name: string, value: number, min: number, max: number): void {
  if (!(Number.isFinite(value) && value >= min && value <= max))
    refuse(name, value, `a number from ${min} to ${max}`);
}

function requirePixels({ rgb, width: w, height: h }: Pixels, width: number, height: number): void {
  if (w !== width || h !== height) refuse('init', `${w}x${h}`, `a picture of ${width}x${height}`);
  if (rgb.length !== w * h * 3) refuse('init', `${rgb.length} bytes`, `${w * h * 3} bytes of RGB`);
}

function requireReference({ rgb, width, height }: Pixels, index: number, multiple: number): void {
  const name = `references[${index}]`;
  requireSide(`width of ${name}`, width, multiple, multiple);
  requireSide(`height of ${name}`, height, multiple, multiple);
  const bytes = width * height * 3;
  if (rgb.length !== bytes) refuse(name, `${rgb.length} bytes`, `${bytes} bytes of RGB`);
}

function requireMask(mask: Uint8Array, init: Pixels | undefined, width: number, height: number): void {
  if (!init) refuse('mask', 'a mask without a picture', 'the picture that it belongs to in init');
  if (mask.length !== width * height)
    refuse('mask', `${mask.length} bytes`, `${width * height} bytes, one a pixel`);
}

function refuse(name: string, value: unknown, expected: string): never {
  throw new ImageForgeError('INVALID_ARGUMENT', `${name}: expected ${expected}, found ${String(value)}.`, {
    details: { option: name },
  });
}
