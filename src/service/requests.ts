// What every door asks of the service: its fields, checked by the one schema, become an ImageRequest here.
import type { z } from 'zod';
import type { Part } from '../families/types.js';
import type { HiresOptions } from '../pipeline/resolve.js';
import type { MemoryChoice } from '../shared/memory-modes.js';
import { takeLoraTags } from '../text/lora-tags.js';
import type { ControlWish } from './control.js';
import {
  decodeBase64,
  invalid,
  type PictureSource,
  parseFields,
  pickOne,
  readSourceField,
} from './fields.js';
import { DEFAULT_STRENGTH, type RequestSchemas } from './request-schema.js';

/** What a door asks of the service: spelled one way, still without the model's defaults. */
export interface ImageRequest {
  operation: Operation;
  prompt: string;
  negativePrompt: string;
  /** Key of the catalogue or a path; undefined = the default model. */
  model?: string | undefined;
  parts: Partial<Record<Exclude<Part, 'model'>, string>>;
  loras: { path: string; strength: number }[];
  /** Files or names that the prompts may use besides those of the embedding folder. */
  embeddings: string[];
  steps?: number | undefined;
  guidance?: number | undefined;
  width?: number | undefined;
  height?: number | undefined;
  /** undefined = random; only seeded requests are looked up in the cache. */
  seed?: number | undefined;
  sampler?: string | undefined;
  schedule?: string | undefined;
  noise?: 'philox' | 'torch' | undefined;
  prediction?: 'eps' | 'v' | undefined;
  batch: number;
  clipSkip?: number | undefined;
  strength?: number | undefined;
  init?: PictureSource | undefined;
  mask?: PictureSource | undefined;
  /** A second pass over the enlarged picture. */
  hires?: HiresOptions | undefined;
  /** Pictures to look at (FLUX.1 Kontext, FLUX.2). */
  references?: PictureSource[] | undefined;
  /** A ControlNet, by file or by name, and the picture that it looks at. */
  control?: (ControlWish & { image: PictureSource }) | undefined;
  /** Makes the finished pictures larger: a file, or a name in the folder for upscalers. */
  upscaler?: string | undefined;
  /** Tiny autoencoder (TAESD) that draws previews: a file, or a name in its folder. undefined: one that is found. */
  tae?: string | undefined;
  /** It draws the finished picture too. */
  fastDecode: boolean;
  /** Expand the prompt with Ollama first. */
  assist: boolean;
  useCache: boolean;
  returnMode: ReturnMode;
  /** Send a preview with every n-th step; 0 = never. */
  previewEvery: number;
  /** undefined = as MEMORY_MODE says. */
  memoryMode?: MemoryChoice | undefined;
}

export type Operation = 'generate' | 'edit' | 'inpaint';
export type ReturnMode = 'base64' | 'path' | 'both';

/**
 * Checks a door's fields (unknown ones are ignored, null means not given) and spells them one way.
 * @throws ImageForgeError INVALID_ARGUMENT that names each bad field, its value and what is allowed.
 */
export function parseRequest(operation: Operation, input: unknown, schemas: RequestSchemas): ImageRequest {
  const fields = parseFields(schemas[operation], input) as z.infer<
    RequestSchemas['inpaint'] & RequestSchemas['generate']
  >;
  const pick = <T>(...names: (keyof typeof fields)[]): T | undefined => pickOne<T>(fields, names);
  const init =
    operation === 'generate'
      ? undefined
      : readSourceField(fields, 'init_image', ['init_image_path', 'image_path']);
  const mask =
    operation === 'inpaint'
      ? readSourceField(fields, 'mask_image', ['mask_image_path', 'mask_path'])
      : undefined;
  const parts: ImageRequest['parts'] = {};
  for (const part of ['vae', 'clip_l', 'clip_g', 't5xxl', 'llm'] as const) {
    const path = fields[part];
    if (path) parts[part] = path;
  }
  const references = [
    ...(fields.reference_paths ?? []).map((path) => ({ path })),
    ...(fields.reference_images ?? []).map((text, i) => decodeBase64(text, `reference_images.${i}`)),
  ];
  const seed = fields.seed ?? -1;
  const { prompt, loras } = takeLoraTags(fields.prompt);
  return {
    operation,
    prompt,
    negativePrompt: fields.negative_prompt ?? '',
    model: fields.model ?? undefined,
    parts,
    loras: [...(fields.loras ?? []), ...loras],
    embeddings: fields.embeddings ?? [],
    steps: fields.steps ?? undefined,
    guidance: pick<number>('guidance', 'guidance_scale'),
    width: fields.width ?? undefined,
    height: fields.height ?? undefined,
    seed: seed === -1 ? undefined : seed,
    sampler: fields.sampler ?? undefined,
    schedule: pick<string>('schedule', 'scheduler'),
    noise: fields.noise ?? undefined,
    prediction: fields.prediction ?? undefined,
    batch: fields.batch ?? 1,
    clipSkip: fields.clip_skip ?? undefined,
    strength: operation === 'generate' ? undefined : (fields.strength ?? DEFAULT_STRENGTH[operation]),
    init,
    mask,
    hires: readHires(fields),
    references: references.length > 0 ? references : undefined,
    control: readControl(fields),
    upscaler: fields.upscaler ?? undefined,
    tae: fields.tae ?? undefined,
    fastDecode: fields.fast_decode ?? false,
    assist: pick<boolean>('assist_prompt', 'assist') ?? false,
    useCache: fields.use_cache ?? true,
    returnMode: fields.return_mode ?? 'both',
    previewEvery: fields.preview_every ?? 0,
    memoryMode: fields.memory_mode ?? undefined,
  };
}

function readHires({
  hires_scale: scale,
  hires_strength: strength,
  hires_steps: steps,
  hires_upscaler: upscaler,
}: Partial<z.infer<RequestSchemas['generate']>>): HiresOptions | undefined {
  if (typeof scale === 'number')
    return {
      scale,
      strength: strength ?? undefined,
      steps: steps ?? undefined,
      upscaler: upscaler ?? undefined,
    };
  refuseAlone({ hires_strength: strength, hires_steps: steps, hires_upscaler: upscaler }, 'hires_scale');
  return undefined;
}

function readControl(fields: Partial<z.infer<RequestSchemas['generate']>>): ImageRequest['control'] {
  const { control: model, control_strength: strength, control_start: start, control_end: end } = fields;
  const { control_image, control_image_path } = fields;
  if (model)
    return {
      model,
      image: readSourceField(fields, 'control_image', ['control_image_path']),
      strength: strength ?? undefined,
      start: start ?? undefined,
      end: end ?? undefined,
    };
  const others = { control_strength: strength, control_start: start, control_end: end };
  refuseAlone({ control_image, control_image_path, ...others }, 'control');
  return undefined;
}

/** Fields that mean nothing without another. */
function refuseAlone(fields: Record<string, unknown>, needed: string): void {
  const given = Object.keys(fields).filter((name) => fields[name] !== undefined && fields[name] !== null);
  if (given.length > 0)
    throw invalid(`${given.join(', ')}: expected ${needed} beside it, found none`, { fields: given });
}
