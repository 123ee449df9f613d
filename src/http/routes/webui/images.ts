// /sdapi/v1/txt2img and /sdapi/v1/img2img.
import type { Context } from 'hono';
import { z } from 'zod';
import { samplerEntries } from '../../../sampling/index.js';
import type { ImageResult } from '../../../service/answers/results.js';
import { changeMask } from '../../../service/pictures/codec.js';
import { formatParameters } from '../../../service/pictures/parameters.js';
import type { ImageOperation } from '../../../service/request/parse.js';
import { seedSchema } from '../../../service/request/seed.js';
import { ImageForgeError } from '../../../shared/errors.js';
import { readJson } from '../../body.js';
import type { Doors } from '../../context.js';
import { refuseField } from '../../errors.js';
import type { Routes } from '../../routes.js';
import { alwaysOnScripts, readControlUnit } from './control.js';
import { type Fields, readBase64, readHires, toRequestFields } from './fields.js';
import type { WebUiState } from './state.js';

/** Often enough to watch the picture grow, rarely enough to cost next to nothing. */
const PREVIEW_EVERY = 2;

const common = {
  prompt: z.string().nullish().describe('<lora:name:0.8> adds a LoRA; default: none'),
  negative_prompt: z.string().nullish(),
  styles: z.array(z.string()).nullish().describe('Names of styles in PROMPT_DIR'),
  seed: seedSchema.nullish().describe('-1: random; a string above 2^53 - 1'),
  sampler_name: z.string().nullish().describe('Automatic: the model’s'),
  scheduler: z.string().nullish().describe('Automatic: the model’s'),
  steps: z.int().nullish(),
  cfg_scale: z.number().nullish(),
  width: z.int().nullish(),
  height: z.int().nullish(),
  batch_size: z.int().nullish(),
  n_iter: z.int().nullish(),
  override_settings: z
    .looseObject({
      sd_model_checkpoint: z.string().optional(),
      CLIP_stop_at_last_layers: z.int().optional(),
    })
    .nullish(),
  alwayson_scripts: alwaysOnScripts.nullish(),
  send_images: z.boolean().nullish().describe('Default true'),
  save_images: z.boolean().nullish().describe('Write them to the output folder; default false'),
};
const txt2img = z.looseObject({
  ...common,
  enable_hr: z.boolean().nullish().describe('Hires fix: a second pass over the enlarged image'),
  hr_scale: z.number().nullish().describe('Default 2'),
  hr_resize_x: z
    .int()
    .nullish()
    .describe('Width of the result, instead of hr_scale; default 0: follows hr_resize_y'),
  hr_resize_y: z.int().nullish().describe('Height of the result; default 0: follows hr_resize_x'),
  hr_upscaler: z.string().nullish().describe('Latent (default) or Lanczos, which enlarges the picture'),
  hr_second_pass_steps: z.int().nullish().describe('Default 0: as many as the first pass'),
  denoising_strength: z.number().nullish().describe('Strength of the second pass; default 0.75'),
});
const img2img = z.looseObject({
  ...common,
  init_images: z.array(z.string()).describe('base64 or data URLs; the first one is used'),
  mask: z.string().nullish().describe('White is repainted; if it has transparent parts, the opaque ones are'),
  mask_blur: z.number().nullish().describe('Pixels; default 0'),
  inpainting_mask_invert: z.int().nullish().describe('1: black is repainted'),
  denoising_strength: z.number().nullish().describe('Default 0.75'),
  include_init_images: z.boolean().nullish(),
});
const answer = z
  .object({
    images: z.array(z.string()).describe('base64 PNG'),
    parameters: z.record(z.string(), z.unknown()).describe('The request'),
    info: z.string().describe('JSON text: seeds, sampler, infotexts …'),
  })
  .meta({ id: 'WebUiImages' });

export function addWebUiImageRoutes(routes: Routes, doors: Doors, state: WebUiState): void {
  const description = { method: 'post', tag: 'WebUI', errors: [400, 404, 413, 429, 503] } as const;
  routes.add(
    {
      ...description,
      path: '/sdapi/v1/txt2img',
      summary: 'Text to image',
      body: { schema: txt2img, name: 'WebUiTxt2Img' },
      answer: { schema: answer, description: 'The images' },
    },
    async (c) => {
      const body = await readJson(c);
      const fields = {
        ...toRequestFields(body, state.checkpoint),
        ...readControlUnit(body),
        ...readHires(body),
      };
      return run(c, 'generate', body, fields, doors, state);
    },
  );
  routes.add(
    {
      ...description,
      path: '/sdapi/v1/img2img',
      summary: 'Image to image, with or without a mask',
      body: { schema: img2img, name: 'WebUiImg2Img' },
      answer: { schema: answer, description: 'The images' },
    },
    async (c) => {
      const body = await readJson(c);
      const [source] = Array.isArray(body.init_images) ? body.init_images : [];
      if (typeof source !== 'string')
        refuseField('init_images', 'init_images: expected a list of pictures in base64');
      const mask = body.mask ? await readMask(body) : undefined;
      const fields = {
        ...toRequestFields(body, state.checkpoint),
        ...readControlUnit(body),
        init_image: source,
        strength: body.denoising_strength ?? 0.75,
        ...(mask && { mask_image: mask }),
      };
      return run(c, mask ? 'inpaint' : 'edit', body, fields, doors, state);
    },
  );
}

async function run(
  c: Context,
  operation: ImageOperation,
  body: Fields,
  fields: Fields,
  { service, jobs }: Doors,
  state: WebUiState,
): Promise<Response> {
  const request = service.parse(operation, { ...fields, preview_every: PREVIEW_EVERY });
  const save = { enabled: body.save_images === true };
  const job = jobs.start(request, { signal: c.req.raw.signal, save });
  state.jobs.add(job);
  const { init_images: _images, mask: _mask, ...rest } = body;
  const parameters = body.include_init_images === true ? body : rest;
  try {
    const result = await job.wait();
    const images = body.send_images === false ? [] : result.images.map(({ png }) => png.toString('base64'));
    return c.json({ images, parameters, info: JSON.stringify(describe(result)) });
  } catch (error) {
    // WebUI clients expect success from an interrupted request.
    if (!state.interrupted.has(job) || ImageForgeError.from(error).code !== 'ABORTED') throw error;
    return c.json({ images: [], parameters, info: JSON.stringify({ interrupted: true }) });
  } finally {
    state.jobs.delete(job);
  }
}

function describe({ images, ...result }: ImageResult): Fields {
  const infotexts = images.map(({ metadata }) => formatParameters(metadata));
  const [{ metadata }] = images;
  const sampler = samplerEntries.find(({ name }) => name === result.sampler)?.label ?? result.sampler;
  return {
    prompt: result.prompt,
    all_prompts: images.map(({ metadata }) => metadata.prompt),
    negative_prompt: result.negativePrompt,
    all_negative_prompts: images.map(({ metadata }) => metadata.negative_prompt),
    seed: result.seed,
    all_seeds: images.map(({ seed }) => seed),
    width: result.width,
    height: result.height,
    sampler_name: sampler,
    cfg_scale: result.guidance,
    steps: result.steps,
    batch_size: images.length,
    sd_model_name: result.model,
    sd_model_hash: null,
    denoising_strength: metadata.hires?.strength ?? metadata.strength,
    clip_skip: metadata.clip_skip,
    index_of_first_image: 0,
    infotexts,
    job_timestamp: metadata.timestamp.replace(/\D/g, ''),
    is_using_inpainting_conditioning: false,
    notes: result.notes,
  };
}

async function readMask({ mask, mask_blur: blur, inpainting_mask_invert: invert }: Fields): Promise<string> {
  const bytes = readBase64(mask, 'mask');
  if (invert !== 1 && !(typeof blur === 'number' && blur > 0)) return bytes.toString('base64');
  try {
    const picture = await changeMask(bytes, (mask) => {
      const turned = invert === 1 ? mask.negate() : mask;
      return typeof blur === 'number' && blur >= 0.3 ? turned.blur(Math.min(blur, 256)) : turned;
    });
    return picture.toString('base64');
  } catch (error) {
    refuseField('mask', `mask: not a picture that can be read: ${(error as Error).message.split('\n')[0]}`);
  }
}
