// The one request schema behind every door: HTTP bodies, MCP arguments and CLI options take their names, bounds and texts
// from it. Fields keep the names of both replaced programs; where those differ, both spellings are here.
import { z } from 'zod';
import { MEMORY_MODES } from '../shared/memory-modes.js';

/** Where the schema's bounds come from; Config has these fields. */
export interface RequestLimits {
  maxRes: number;
  /** Names that were set: without MAX_RES some models go beyond its default. */
  set?: ReadonlySet<string>;
}

export const LIMITS = {
  minSide: 64,
  /** Bound of the models that go beyond the default of MAX_RES. */
  largeSide: 2048,
  promptLength: 10_000,
  steps: 200,
  guidance: 50,
  batch: 16,
  references: 10,
  /** Characters of a base64 picture: 48 MiB of file. */
  pictureLength: 2 ** 26,
} as const;

export const DEFAULT_STRENGTH = { edit: 0.6, inpaint: 0.85 } as const;

/** The widest bound that any model may have under these settings; the model's own is checked when it is known. */
export function widestSide({ maxRes, set }: RequestLimits): number {
  return set && !set.has('MAX_RES') ? Math.max(maxRes, LIMITS.largeSide) : maxRes;
}

export type RequestSchemas = ReturnType<typeof createRequestSchemas>;

/** Schemas of the three operations; doors pick and rename fields from them, so that bounds and texts stay the same. */
export function createRequestSchemas(limits: RequestLimits) {
  const side = z
    .int()
    .min(LIMITS.minSide)
    .max(widestSide(limits))
    .multipleOf(8)
    .nullish()
    .describe('Pixels, a multiple of 8; default: the model’s, or the source image’s');
  const path = z.string().min(1).max(4096);
  const picture = z.string().min(1).max(LIMITS.pictureLength);
  const common = {
    prompt: z
      .string()
      .max(LIMITS.promptLength)
      .refine((text) => text.trim() !== '', 'expected a description of the image, found an empty text')
      .describe('Image description; (word:1.3) weights a word, <lora:name:0.8> adds a LoRA'),
    negative_prompt: z.string().max(LIMITS.promptLength).nullish().describe('What to avoid'),
    model: path
      .nullish()
      .describe('Model key (see the model list) or a GGUF or safetensors file; default: the active model'),
    steps: z.int().min(1).max(LIMITS.steps).nullish().describe('Inference steps; default: the model’s'),
    guidance: z
      .number()
      .min(0)
      .max(LIMITS.guidance)
      .nullish()
      .describe('CFG scale (turbo models use 0); default: the model’s'),
    guidance_scale: z.number().min(0).max(LIMITS.guidance).nullish().describe('The same as guidance'),
    width: side,
    height: side,
    seed: z
      .int()
      .min(-1)
      .max(Number.MAX_SAFE_INTEGER)
      .nullish()
      .describe('Reproducibility seed; none or -1: random'),
    sampler: z.string().max(64).nullish().describe('Sampler, e.g. euler_a; default: the model’s'),
    schedule: z.string().max(64).nullish().describe('Noise schedule, e.g. karras; default: the model’s'),
    scheduler: z.string().max(64).nullish().describe('The same as schedule'),
    noise: z
      .enum(['philox', 'torch'])
      .nullish()
      .describe('Where noise comes from: philox as the WebUI (default), torch as ComfyUI and diffusers'),
    prediction: z
      .enum(['eps', 'v'])
      .nullish()
      .describe('What a Stable Diffusion network predicts, noise or velocity; default: what its file tells'),
    batch: z.int().min(1).max(LIMITS.batch).nullish().describe('Images; the n-th uses seed + n. Default 1'),
    clip_skip: z.int().min(1).max(12).nullish().describe('CLIP layer counted from the last; default 1'),
    loras: z
      .array(z.object({ path, strength: z.number().min(-10).max(10).default(1) }))
      .max(16)
      .nullish()
      .describe('LoRA files, or names in the LoRA folder, and their strengths'),
    embeddings: z
      .array(path)
      .max(16)
      .nullish()
      .describe(
        'Embedding files (textual inversion) whose names the prompts use; those in the folder need no list',
      ),
    reference_images: z
      .array(picture)
      .max(LIMITS.references)
      .nullish()
      .describe('Pictures to look at (FLUX.1 Kontext: one, FLUX.2: several), base64 or data URLs'),
    reference_paths: z
      .array(path)
      .max(LIMITS.references)
      .nullish()
      .describe('Pictures to look at (FLUX.1 Kontext: one, FLUX.2: several), local paths'),
    control: path
      .nullish()
      .describe('File of a ControlNet (SD 1.x, 2.x, XL), diffusers folder, or a name in controlnet/'),
    control_image: picture
      .nullish()
      .describe('What the ControlNet looks at, a finished map of edges, depth …: base64 or a data URL'),
    control_image_path: path
      .nullish()
      .describe('What the ControlNet looks at, a finished map of edges, depth …: a local path'),
    control_strength: z
      .number()
      .min(0)
      .max(2)
      .nullish()
      .describe('How much the ControlNet says, 0 to 2; default 1'),
    control_start: z
      .number()
      .min(0)
      .max(1)
      .nullish()
      .describe('Share of the steps before which the ControlNet is silent; default 0'),
    control_end: z
      .number()
      .min(0)
      .max(1)
      .nullish()
      .describe('Share of the steps after which the ControlNet is silent; default 1'),
    vae: path.nullish().describe('Autoencoder file instead of the model’s own'),
    tae: path
      .nullish()
      .describe(
        'Tiny autoencoder (TAESD) that draws previews: a file, or a name in vae_approx/; default: the one found there',
      ),
    fast_decode: z
      .boolean()
      .nullish()
      .describe(
        'Let the tiny autoencoder draw the finished image too: fast, a little less fine; default false',
      ),
    clip_l: path.nullish().describe('CLIP-L text encoder file'),
    clip_g: path.nullish().describe('OpenCLIP bigG text encoder file'),
    t5xxl: path.nullish().describe('T5 XXL text encoder file'),
    llm: path.nullish().describe('Language model file (FLUX.2)'),
    assist_prompt: z.boolean().nullish().describe('Expand the prompt with Ollama first; default false'),
    assist: z.boolean().nullish().describe('The same as assist_prompt'),
    upscaler: path
      .nullish()
      .describe('Makes the finished images larger: an ESRGAN safetensors file, or a name in upscalers/'),
    use_cache: z
      .boolean()
      .nullish()
      .describe('Return the stored image of an identical seeded request; default true'),
    return_mode: z
      .enum(['base64', 'path', 'both'])
      .nullish()
      .describe('What the answer carries; default both'),
    preview_every: z
      .int()
      .min(0)
      .max(LIMITS.steps)
      .nullish()
      .describe('Preview with every n-th step; default 0, never'),
    memory_mode: z
      .enum(['auto', ...MEMORY_MODES])
      .nullish()
      .describe(
        'full: all networks in memory; offload: one at a time; stream: layer by layer; auto: what fits',
      ),
  };
  const source = (strength: number) => ({
    init_image: picture.nullish().describe('Source image, base64 or a data URL'),
    init_image_path: path.nullish().describe('Source image, a local path'),
    image_path: path.nullish().describe('The same as init_image_path'),
    strength: z
      .number()
      .min(0)
      .max(1)
      .nullish()
      .describe(`0 keeps the original, 1 regenerates it; default ${strength}`),
  });
  const hires = {
    hires_scale: z
      .number()
      .min(1)
      .max(8)
      .nullish()
      .describe('Hires fix: enlarge the finished picture by this and go over it once more; default: not'),
    hires_strength: z
      .number()
      .min(0)
      .max(1)
      .nullish()
      .describe('How much that second pass may change; default 0.6'),
    hires_steps: z
      .int()
      .min(1)
      .max(LIMITS.steps)
      .nullish()
      .describe('Steps of the second pass; default: as many as the first'),
    hires_upscaler: z
      .enum(['latent', 'pixel'])
      .nullish()
      .describe('What is enlarged: the latent (default; needs a strength from 0.5 up) or the picture'),
  };
  return {
    generate: z.object({ ...common, ...hires }).describe('Text to image'),
    edit: z.object({ ...common, ...source(DEFAULT_STRENGTH.edit) }).describe('Image to image'),
    inpaint: z
      .object({
        ...common,
        ...source(DEFAULT_STRENGTH.inpaint),
        mask_image: picture
          .nullish()
          .describe('Mask, base64 or a data URL: white is repainted, black is kept'),
        mask_image_path: path.nullish().describe('Mask, a local path'),
        mask_path: path.nullish().describe('The same as mask_image_path'),
      })
      .describe('Repaints the white regions of a mask'),
  };
}
