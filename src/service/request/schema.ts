// The one request schema behind every door: HTTP bodies, OpenAPI, MCP tools and the command line take names, bounds and
// descriptions from it. Fields keep the names of both replaced programs; where those differ, both spellings are accepted.
import { z } from 'zod';
import { DEFAULT_STRENGTH, LIMITS } from '../../shared/limits.js';
import { MEMORY_MODES } from '../../shared/memory-modes.js';
import { PROMPT_SYNTAXES } from '../../shared/prompt-syntaxes.js';
import { alias, factsOf, field, required } from './field.js';
import { seedSchema } from './seed.js';

/** The settings that bound the schema; Config has these fields. */
export interface RequestLimits {
  maxRes: number;
  /** Names of settings that were set. Unless MAX_RES is set, some models may exceed its default. */
  set?: ReadonlySet<string>;
}

/** The widest bound of any model under these settings. The model's own bound is checked once the model is known. */
export function widestSide({ maxRes, set }: RequestLimits): number {
  return set && !set.has('MAX_RES') ? Math.max(maxRes, LIMITS.largeSide) : maxRes;
}

export type RequestSchemas = ReturnType<typeof createRequestSchemas>;
export type ImageOperation = 'generate' | 'edit' | 'inpaint';

const agents = true;
const sidecar = true;
const path = z.string().min(1).max(4096);
const loraStrength = z.number().min(-LIMITS.loraStrength).max(LIMITS.loraStrength);
const name = z.string().max(64);
const picture = z.string().min(1).max(LIMITS.pictureLength);
const share = z.number().min(0).max(1);
const steps = z.int().min(1).max(LIMITS.steps);
const text = z.string().max(LIMITS.promptLength);

/**
 * Fields that the request carries unchanged, in camelCase: `clip_skip` becomes `clipSkip`. A new field needs a line here
 * and the code that uses it; all doors, the sidecar and the cache key then have it.
 */
function plainFields(limits: RequestLimits) {
  const side = z.int().min(LIMITS.minSide).max(widestSide(limits)).multipleOf(8);
  return {
    model: field(
      path,
      'Model key (see the model list) or a GGUF or safetensors file; default: the active model',
      { agents, flag: '-m, --model <key|file>' },
    ),
    steps: field(steps, 'Inference steps; default: the model’s', {
      agents,
      sidecar,
      flag: '-s, --steps <n>',
    }),
    guidance: field(
      z.number().min(0).max(LIMITS.guidance),
      'CFG scale (turbo models use 0); default: the model’s',
      { agents, sidecar, flag: '-g, --guidance <n>' },
    ),
    guidance_rescale: field(
      share,
      'Guidance rescale, 0 to 1, counters overexposure from guidance; 0.7 suits models trained with zero terminal SNR; default 0, none',
      { agents, sidecar },
    ),
    width: field(side, 'Pixels, a multiple of 8; default: the model’s, or the source image’s', {
      agents,
      flag: '-w, --width <pixels>',
    }),
    height: field(side, 'Pixels, a multiple of 8; default: the model’s, or the source image’s', {
      agents,
      flag: '-h, --height <pixels>',
    }),
    sampler: field(name, 'Sampler, e.g. euler_a; default: the model’s', {
      agents,
      sidecar,
      flag: '--sampler <name>',
    }),
    schedule: field(name, 'Noise schedule, e.g. karras; default: the model’s', {
      agents,
      sidecar,
      flag: '--schedule <name>',
    }),
    noise: field(
      z.enum(['philox', 'torch']),
      'Where noise comes from: philox as in the WebUI (default), torch as in ComfyUI and diffusers',
      { agents, sidecar },
    ),
    prediction: field(
      z.enum(['eps', 'v']),
      'What a Stable Diffusion network predicts, noise or velocity; default: detected from its file',
      { agents, sidecar },
    ),
    batch: field(z.int().min(1).max(LIMITS.batch), 'Images; image n, from 0, uses seed + n. Default 1', {
      agents,
      flag: '-b, --batch <n>',
    }),
    clip_skip: field(
      z.int().min(1).max(LIMITS.clipSkip),
      'CLIP layer counted from the last; default: the model’s, usually 1',
      { agents, sidecar },
    ),
    prompt_syntax: field(
      z.enum(PROMPT_SYNTAXES),
      'How prompts are written: as in the WebUI (default), as in ComfyUI, or in plain words',
      { agents, sidecar },
    ),
    styles: field(z.array(name).max(LIMITS.styles), 'Names of styles in PROMPT_DIR to apply to the prompts', {
      agents,
      sidecar,
      flag: '--style <name>',
    }),
    upscaler: field(
      path,
      'Enlarges the finished images: an ESRGAN safetensors file, or a name in upscalers/',
      { agents, flag: '--upscale <file>' },
    ),
    tae: field(
      path,
      'Tiny autoencoder (TAESD) that draws previews: a file, or a name in vae_approx/; default: the one found there for the model',
      { agents, flag: '--tae <file>' },
    ),
    fast_decode: field(
      z.boolean(),
      'Decode the finished image with the tiny autoencoder too: faster, with a little less detail; default false',
      { agents },
    ),
    assist_prompt: field(z.boolean(), 'Expand the prompt with Ollama first; default false', {
      flag: '--assist',
    }),
    use_cache: field(z.boolean(), 'Return the stored image of an identical seeded request; default true', {
      agents,
      flag: null,
    }),
    return_mode: field(z.enum(['base64', 'path', 'both']), 'What the answer carries; default both', {
      flag: null,
    }),
    preview_every: field(
      z.int().min(0).max(LIMITS.steps),
      'Send a preview with every n-th step; default 0, never',
      { flag: null },
    ),
    memory_mode: field(
      z.enum(['auto', ...MEMORY_MODES]),
      'full: all networks in memory; offload: one at a time; stream: layer by layer; auto: what fits',
      { agents },
    ),
  };
}

/** Files that replace parts of the model. */
export const partFields = {
  vae: field(path, 'Autoencoder file instead of the model’s own', { agents, flag: '--vae <file>' }),
  clip_l: field(path, 'CLIP-L text encoder file', { agents, flag: '--clip-l <file>' }),
  clip_g: field(path, 'OpenCLIP bigG text encoder file', { agents, flag: '--clip-g <file>' }),
  t5xxl: field(path, 'T5 XXL text encoder file', { agents, flag: '--t5xxl <file>' }),
  llm: field(path, 'Language model file (FLUX.2)', { agents, flag: '--llm <file>' }),
};

/** Fields that `parse.ts` combines or converts. */
const commonFields = {
  prompt: required(
    text,
    'Image description; (word:1.3) weights a word, [a:b:0.5] changes it halfway, {a|b} and __name__ choose one, <lora:name:0.8> adds a LoRA',
    {
      agents,
      flag: null,
    },
  ),
  negative_prompt: field(text, 'What to avoid', { agents, flag: '-n, --negative <text>' }),
  seed: field(
    seedSchema,
    'Seed, to make the same image again, as a string if above 2^53 - 1; none or -1: random',
    {
      agents,
      flag: '--seed <n>',
    },
  ),
  loras: field(
    z
      .array(
        z.object({
          path,
          strength: loraStrength.default(1),
          text_strength: loraStrength.optional().describe('Strength in the text encoders; default: strength'),
        }),
      )
      .max(LIMITS.loras),
    'LoRA files, or names in the LoRA folder, and their strengths',
    { agents, flag: '--lora <file[:strength[:text strength]]>' },
  ),
  embeddings: field(
    z.array(path).max(LIMITS.embeddings),
    'Embedding files (textual inversion) that the prompts use by name; those in the embedding folder need no listing',
    { agents, flag: '--embedding <file>' },
  ),
  reference_images: field(
    z.array(picture).max(LIMITS.references),
    'Reference pictures (FLUX.1 Kontext: one, FLUX.2: several), base64 or data URLs',
    { agents, flag: null },
  ),
  reference_paths: field(
    z.array(path).max(LIMITS.references),
    'Reference pictures (FLUX.1 Kontext: one, FLUX.2: several), local paths',
    { agents, flag: '--ref <file>' },
  ),
  control: field(path, 'ControlNet (SD 1.x, 2.x, XL): a file, a diffusers folder, or a name in controlnet/', {
    agents,
    flag: '--control <file>',
  }),
  control_image: field(
    picture,
    'What the ControlNet looks at, a finished map of edges, depth …: base64 or a data URL',
    { agents, flag: null },
  ),
  control_image_path: field(
    path,
    'What the ControlNet looks at, a finished map of edges, depth …: a local path',
    { agents, flag: '--control-image <file>' },
  ),
  control_strength: field(
    z.number().min(0).max(LIMITS.controlStrength),
    'Weight of the ControlNet, 0 to 2; default 1',
    { agents },
  ),
  control_start: field(share, 'Share of the steps before which the ControlNet is off; default 0', { agents }),
  control_end: field(share, 'Share of the steps after which the ControlNet is off; default 1', { agents }),
};

const hiresFields = {
  hires_scale: field(
    z.number().min(1).max(LIMITS.hiresScale),
    'Hires fix: enlarge the finished picture by this factor and refine it in a second pass; default: no second pass',
    { agents },
  ),
  hires_strength: field(share, 'How much the second pass may change; default 0.6', { agents }),
  hires_steps: field(steps, 'Steps of the second pass; default: as many as the first', { agents }),
  hires_upscaler: field(
    z.enum(['latent', 'pixel']),
    'What to enlarge: the latent (default; needs a strength of at least 0.5) or the picture',
    { agents },
  ),
};

function sourceFields(operation: keyof typeof DEFAULT_STRENGTH) {
  const init_image_path = field(path, 'Source image, a local path', { flag: null });
  return {
    init_image: field(picture, 'Source image, base64 or a data URL', { agents, flag: null }),
    init_image_path,
    image_path: alias(init_image_path, 'init_image_path', { agents }),
    strength: field(share, `0 keeps the original, 1 ignores it; default ${DEFAULT_STRENGTH[operation]}`, {
      agents,
    }),
  };
}

function maskFields() {
  const mask_image_path = field(path, 'Mask, a local path', { flag: null });
  return {
    mask_image: field(
      picture,
      'Mask, base64 or a data URL: white is repainted, black is kept; if it has transparent parts, the opaque ones are repainted',
      {
        agents,
        flag: null,
      },
    ),
    mask_image_path,
    mask_path: alias(mask_image_path, 'mask_image_path', { agents }),
  };
}

/** Makes the schemas of the three operations. Doors take fields from them, so that bounds and texts are the same everywhere. */
export function createRequestSchemas(limits: RequestLimits) {
  const plain = plainFields(limits);
  const common = {
    ...commonFields,
    ...plain,
    ...partFields,
    guidance_scale: alias(plain.guidance, 'guidance', { agents }),
    scheduler: alias(plain.schedule, 'schedule'),
    assist: alias(plain.assist_prompt, 'assist_prompt', { agents }),
  };
  return {
    generate: z.object({ ...common, ...hiresFields }).describe('Text to image'),
    edit: z.object({ ...common, ...sourceFields('edit') }).describe('Image to image'),
    inpaint: z
      .object({ ...common, ...sourceFields('inpaint'), ...maskFields() })
      .describe('Repaint the white regions of a mask'),
  };
}

/** Turns `clip_skip` into `clipSkip`. */
export type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;

export function toCamelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

type Plain = ReturnType<typeof plainFields>;

/** The plain fields of a request; undefined if left out. */
export type PlainFields = {
  [Name in keyof Plain & string as CamelCase<Name>]: NonNullable<z.infer<Plain[Name]>> | undefined;
};

const anyPlain = plainFields({ maxRes: LIMITS.largeSide });

/** Names of the plain fields. */
export const PLAIN_FIELDS = Object.keys(anyPlain) as (keyof Plain & string)[];

/** The plain fields that the sidecar records. */
export const SIDECAR_FIELDS = PLAIN_FIELDS.filter((name) => factsOf(anyPlain[name]).sidecar);
