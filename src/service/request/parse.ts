// Parses a door's fields, checked by the one schema, into a request for the service.
import type { z } from 'zod';
import type { Part } from '../../families/types.js';
import type { HiresOptions } from '../../pipeline/resolve.js';
import { DEFAULT_STRENGTH } from '../../shared/limits.js';
import { parseSeed, type Seed, type SeedInput } from '../../shared/seed.js';
import { type NamedLora, takeLoraTags } from '../../text/lora-tags.js';
import { hasChoices } from '../../text/wildcards.js';
import { decodeBase64, type PictureSource } from '../pictures/source.js';
import type { ControlOptions } from './control.js';
import { spellingsOf } from './field.js';
import { invalid, parseFields, pickOne, readSourceField } from './fields.js';
import {
  type ImageOperation,
  PLAIN_FIELDS,
  type PlainFields,
  partFields,
  type RequestSchemas,
  toCamelCase,
} from './schema.js';
import { parseUpscale, type UpscaleRequest } from './upscale.js';

export type { ImageOperation };
export type ReturnMode = 'base64' | 'path' | 'both';

/** What a request asks for. */
export type Operation = ImageOperation | 'upscale';
export const OPERATIONS = ['generate', 'edit', 'inpaint', 'upscale'] as const satisfies readonly Operation[];

/** Defaults of plain fields. The fields that are not listed take the model's default. */
const DEFAULTS = {
  batch: 1,
  fastDecode: false,
  assistPrompt: false,
  useCache: true,
  returnMode: 'both' as ReturnMode,
  previewEvery: 0,
};

/** A request for pictures, in one spelling and before the model's defaults apply. */
export interface ImageRequest extends Omit<PlainFields, keyof typeof DEFAULTS>, Readonly<typeof DEFAULTS> {
  operation: ImageOperation;
  prompt: string;
  negativePrompt: string;
  parts: Partial<Record<Exclude<Part, 'model'>, string>>;
  loras: NamedLora[];
  /** Files or names that the prompts may use, besides those in the embedding folder. */
  embeddings: string[];
  /** undefined means random. Only seeded requests are looked up in the cache. */
  seed: Seed | undefined;
  strength: number | undefined;
  init: PictureSource | undefined;
  mask: PictureSource | undefined;
  /** A second pass over the enlarged picture. */
  hires: HiresOptions | undefined;
  /** Reference pictures (FLUX.1 Kontext, FLUX.2). */
  references: PictureSource[] | undefined;
  /** A ControlNet, by file or name, and the picture that it looks at. */
  control: (ControlOptions & { image: PictureSource }) | undefined;
  /** Names of fields that were given and that the operation does not have. */
  unknown?: string[];
}

export type JobRequest = ImageRequest | UpscaleRequest;

/** The fields of all operations together. Readers check which ones are present. */
type Fields = z.infer<RequestSchemas['inpaint'] & RequestSchemas['generate']>;

/**
 * Checks a door's fields and brings them into one spelling. Lists unknown fields; null means not given.
 * @throws ImageForgeError INVALID_ARGUMENT that names each bad field, its value and what is allowed.
 */
export function parseRequest(
  operation: ImageOperation,
  input: unknown,
  schemas: RequestSchemas,
): ImageRequest;
export function parseRequest(operation: 'upscale', input: unknown, schemas: RequestSchemas): UpscaleRequest;
export function parseRequest(operation: Operation, input: unknown, schemas: RequestSchemas): JobRequest;
export function parseRequest(operation: Operation, input: unknown, schemas: RequestSchemas): JobRequest {
  if (operation === 'upscale') return parseUpscale(input);
  const schema = schemas[operation];
  const fields = parseFields(schema, input) as Fields;
  const source = (inline: string) => readSourceField(fields, inline, spellingsOf(`${inline}_path`, schema));
  // Choices may hold LoRA tags, which are read once the choices are made.
  const { prompt, loras } = hasChoices(fields.prompt)
    ? { prompt: fields.prompt, loras: [] }
    : takeLoraTags(fields.prompt);
  const unknown = findUnknown(input, schema);
  return {
    ...DEFAULTS,
    ...readPlain(fields, schema),
    operation,
    prompt,
    negativePrompt: fields.negative_prompt ?? '',
    parts: readParts(fields),
    loras: [...(fields.loras ?? []).map(readLora), ...loras],
    embeddings: fields.embeddings ?? [],
    seed: readAskedSeed(fields.seed),
    strength: operation === 'generate' ? undefined : (fields.strength ?? DEFAULT_STRENGTH[operation]),
    init: operation === 'generate' ? undefined : source('init_image'),
    mask: operation === 'inpaint' ? source('mask_image') : undefined,
    hires: readHires(fields),
    references: readReferences(fields),
    control: readControl(fields),
    ...(unknown.length > 0 && { unknown }),
  };
}

/** -1 means random, like a missing seed. The schema has refused invalid seeds already. */
function readAskedSeed(seed: SeedInput | null | undefined): Seed | undefined {
  return seed === undefined || seed === null || String(seed) === '-1' ? undefined : parseSeed(seed);
}

function findUnknown(input: unknown, { shape }: z.ZodObject): string[] {
  return Object.entries(input as object).flatMap(([name, value]) =>
    Object.hasOwn(shape, name) || value === undefined || value === null ? [] : [name],
  );
}

/** How many pictures a request makes. */
export function countImages(request: JobRequest): number {
  return request.operation === 'upscale' ? 1 : request.batch;
}

type Given = Omit<PlainFields, keyof typeof DEFAULTS> & Partial<typeof DEFAULTS>;

/** The plain fields that are present, in camelCase. */
function readPlain(fields: Fields, schema: z.ZodObject): Given {
  const plain: Record<string, unknown> = {};
  for (const name of PLAIN_FIELDS) {
    const value = pickOne(fields, spellingsOf(name, schema));
    if (value !== undefined) plain[toCamelCase(name)] = value;
  }
  return plain as Given;
}

function readParts(fields: Fields): ImageRequest['parts'] {
  const parts: ImageRequest['parts'] = {};
  for (const part of Object.keys(partFields) as (keyof typeof partFields)[]) {
    const path = fields[part];
    if (path) parts[part] = path;
  }
  return parts;
}

function readReferences({ reference_paths, reference_images }: Fields): PictureSource[] | undefined {
  const references = [
    ...(reference_paths ?? []).map((path) => ({ path })),
    ...(reference_images ?? []).map((text, i) => decodeBase64(text, `reference_images.${i}`)),
  ];
  return references.length > 0 ? references : undefined;
}

function readHires({
  hires_scale: scale,
  hires_strength: strength,
  hires_steps: steps,
  hires_upscaler: upscaler,
}: Partial<Fields>): HiresOptions | undefined {
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

function readControl(fields: Partial<Fields>): ImageRequest['control'] {
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

/** Refuses fields that mean nothing without another. */
function refuseAlone(fields: Record<string, unknown>, needed: string): void {
  const given = Object.keys(fields).filter((name) => fields[name] !== undefined && fields[name] !== null);
  if (given.length > 0)
    throw invalid(`${given.join(', ')}: expected ${needed} beside it, found none`, { fields: given });
}

function readLora({
  path,
  strength,
  text_strength: textStrength,
}: NonNullable<Fields['loras']>[number]): NamedLora {
  return { path, strength, ...(textStrength !== undefined && { textStrength }) };
}
