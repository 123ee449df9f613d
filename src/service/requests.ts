// The one request schema behind every door: HTTP bodies, MCP arguments and CLI options become an ImageRequest here.
// Fields keep the names of both replaced programs; where those differ, both spellings work.
import { z } from 'zod';
import type { Part } from '../families/types.js';
import { MEMORY_MODES, type MemoryWish } from '../pipeline/memory-mode.js';
import type { HiresOptions } from '../pipeline/resolve.js';
import { ImageForgeError } from '../shared/errors.js';
import { takeLoraTags } from '../text/lora-tags.js';

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
  /** Makes the finished pictures larger: a file, or a name in the folder for upscalers. */
  upscaler?: string | undefined;
  /** Expand the prompt with Ollama first. */
  assist: boolean;
  useCache: boolean;
  returnMode: ReturnMode;
  /** Send a preview with every n-th step; 0 = never. */
  previewEvery: number;
  /** undefined = as MEMORY_MODE says. */
  memoryMode?: MemoryWish | undefined;
}

export type Operation = 'generate' | 'edit' | 'inpaint';
export type ReturnMode = 'base64' | 'path' | 'both';
/** A picture in a file or its encoded bytes. */
export type PictureSource = { path: string } | { bytes: Uint8Array };

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
      .describe('Reproducibility seed; null or -1: random'),
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
    reference_paths: z.array(path).max(LIMITS.references).nullish().describe('The same as local paths'),
    vae: path.nullish().describe('Autoencoder file, where the model file has none'),
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
  const source = {
    init_image: picture.nullish().describe('Source image, base64 or a data URL'),
    init_image_path: path.nullish().describe('Source image, a local path'),
    image_path: path.nullish().describe('The same as init_image_path'),
    strength: z.number().min(0).max(1).nullish().describe('0 keeps the original, 1 regenerates it'),
  };
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
    edit: z.object({ ...common, ...source }).describe('Image to image; strength is 0.6 by default'),
    inpaint: z
      .object({
        ...common,
        ...source,
        mask_image: picture
          .nullish()
          .describe('Mask, base64 or a data URL: white is repainted, black is kept'),
        mask_image_path: path.nullish().describe('Mask, a local path'),
        mask_path: path.nullish().describe('The same as mask_image_path'),
      })
      .describe('Repaints the white regions of a mask; strength is 0.85 by default'),
  };
}

const DEFAULT_STRENGTH = { generate: undefined, edit: 0.6, inpaint: 0.85 } as const;

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
    strength: init ? (fields.strength ?? DEFAULT_STRENGTH[operation]) : undefined,
    init,
    mask,
    hires: readHires(fields),
    references: references.length > 0 ? references : undefined,
    upscaler: fields.upscaler ?? undefined,
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
  const given = Object.entries({ hires_strength: strength, hires_steps: steps, hires_upscaler: upscaler })
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name]) => name);
  if (given.length > 0)
    throw invalid(`${given.join(', ')}: expected hires_scale beside it, found none`, { fields: given });
  return undefined;
}

/** The value of a field that has several names; two that disagree are refused. */
function pickOne<T>(fields: Record<string, unknown>, names: string[]): T | undefined {
  const given = names.filter((name) => fields[name] !== undefined && fields[name] !== null);
  const [first, second] = given;
  if (first !== undefined && second !== undefined && fields[first] !== fields[second]) {
    throw invalid(
      `${first} and ${second} are the same field and disagree: ${fields[first]} and ${fields[second]}`,
    );
  }
  return first === undefined ? undefined : (fields[first] as T);
}

/** What a schema makes of a door's fields. @throws ImageForgeError INVALID_ARGUMENT that names each bad field. */
export function parseFields<T extends z.ZodObject>(schema: T, input: unknown): z.infer<T> {
  const parsed = schema.safeParse(input);
  if (!parsed.success) throw describeProblems(parsed.error, input);
  return parsed.data;
}

/** A picture that a request carries itself or names by a path. */
export function readSourceField(
  fields: Record<string, unknown>,
  inline: string,
  paths: string[],
): PictureSource {
  const encoded = fields[inline] as string | null | undefined;
  const path = pickOne<string>(fields, paths);
  if (encoded && path) throw invalid(`expected either ${inline} or ${paths[0]}, found both`);
  if (path) return { path };
  if (!encoded) throw invalid(`expected ${inline} (base64) or ${paths[0]}, found neither`);
  return decodeBase64(encoded, inline);
}

function decodeBase64(encoded: string, name: string): PictureSource {
  const text = encoded.replace(/^data:image\/[\w.+-]+;base64,/, '');
  const bytes = Buffer.from(text, 'base64');
  // the decoder leaves out what is not base64: where nothing is missing, tens of megabytes need no second look
  const length = text.length - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0);
  if (length > 0 && length % 4 !== 1 && bytes.length === Math.floor((length * 3) / 4)) return { bytes };
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text.replace(/\s+/g, '')))
    throw invalid(`${name}: expected base64, found other characters`);
  return { bytes };
}

function describeProblems(error: z.ZodError, input: unknown): ImageForgeError {
  const problems = error.issues.map((issue) => ({
    field: issue.path.join('.'),
    message: describeIssue(issue, input),
  }));
  const fields = problems.map(({ field }) => field).filter(Boolean);
  return invalid(problems.map(({ message }) => message).join('; '), { fields, problems });
}

function describeIssue(issue: z.core.$ZodIssue, input: unknown): string {
  const name = issue.path.join('.') || 'request';
  const value = issue.path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | null)?.[key],
    input,
  );
  if (issue.code === 'custom') return `${name}: ${issue.message}`;
  return `${name}: expected ${describeExpected(issue)}, found ${describeValue(value)}`;
}

function describeExpected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'too_small':
      return issue.origin === 'string' ? 'a text that is not empty' : `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}`;
    case 'invalid_value':
      return `one of ${issue.values.join(', ')}`;
    case 'invalid_type':
      return (
        {
          int: 'a whole number',
          number: 'a number',
          string: 'a text',
          boolean: 'true or false',
          array: 'a list',
        }[issue.expected as string] ?? `an ${issue.expected}`
      );
    default:
      return issue.message;
  }
}

function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string' && value.length > 60) return `${value.length} characters`;
  return JSON.stringify(value)?.slice(0, 80) ?? String(value);
}

function invalid(message: string, details?: Record<string, unknown>): ImageForgeError {
  return new ImageForgeError('INVALID_ARGUMENT', message, details && { details });
}
