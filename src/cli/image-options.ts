// The options of generate, edit, inpaint and bench. Names, texts, kinds and choices come from the request schema; here
// stands only how they are spelled on a command line, and what the command line has besides.
import { type Command, Option } from 'commander';
import { z } from 'zod';
import type { Operation } from '../service/request/parse.js';
import { createRequestSchemas } from '../service/request/schema.js';
import { collect } from './collect.js';

/** What commander gives. */
export interface ImageOptions {
  output?: string;
  outputDir?: string;
  preview?: string;
  verbose?: true;
  quiet?: true;
  json?: true;
  cache: boolean;
  /** Those of the schema; numbers are still texts. */
  [name: string]: string | string[] | boolean | undefined;
}

/** Options that are spelled otherwise than their fields, or take something else than a text, a number or a choice. */
const FLAGS: Record<string, string> = {
  negative_prompt: '-n, --negative <text>',
  model: '-m, --model <key|file>',
  steps: '-s, --steps <n>',
  guidance: '-g, --guidance <n>',
  width: '-w, --width <pixels>',
  height: '-h, --height <pixels>',
  sampler: '--sampler <name>',
  schedule: '--schedule <name>',
  batch: '-b, --batch <n>',
  loras: '--lora <file[:strength]>',
  embeddings: '--embedding <file>',
  reference_paths: '--ref <file>',
  control: '--control <file>',
  control_image_path: '--control-image <file>',
  vae: '--vae <file>',
  tae: '--tae <file>',
  clip_l: '--clip-l <file>',
  clip_g: '--clip-g <file>',
  t5xxl: '--t5xxl <file>',
  llm: '--llm <file>',
  assist_prompt: '--assist',
  upscaler: '--upscale <file>',
};

/** Fields that are arguments of their command, second spellings, or for clients that cannot name a file. */
const NO_OPTIONS = new Set([
  ...['prompt', 'init_image', 'init_image_path', 'image_path', 'mask_image', 'mask_image_path', 'mask_path'],
  ...['guidance_scale', 'scheduler', 'assist', 'reference_images', 'control_image'],
  ...['use_cache', 'return_mode', 'preview_every'],
]);

interface RequestOption {
  field: string;
  option: Option;
  read(value: string | string[] | boolean | undefined): unknown;
}

// bounds are for the request itself; options need none
const schemas = createRequestSchemas({ maxRes: 1 });
const options = {
  generate: describeOptions('generate'),
  edit: describeOptions('edit'),
  inpaint: describeOptions('inpaint'),
};

export function addImageOptions(command: Command, operation: Operation): Command {
  return addRequestOptions(command, operation)
    .option('--no-cache', 'neither look for the image of an earlier request nor keep this one')
    .option('-o, --output <path>', 'file to write (default: a name from time and seed)')
    .option('--output-dir <folder>', 'folder to write to (default: OUTPUT_DIR)')
    .option('--preview <file>', 'PNG or JPEG file that shows the picture while it is made')
    .option('--json', 'print one JSON document instead of the path')
    .option('-q, --quiet', 'no progress')
    .option('-v, --verbose', 'log what happens');
}

/** Those of a request's fields that are named, or all. */
export function addRequestOptions(command: Command, operation: Operation, fields?: string[]): Command {
  for (const { field, option } of options[operation])
    if (!fields || fields.includes(field)) command.addOption(option);
  return command;
}

/** Fields of the request schema; the schema checks them. */
export function toFields(
  operation: Operation,
  prompt: string | undefined,
  given: Partial<ImageOptions>,
): Record<string, unknown> {
  const fields = options[operation].map(({ field, option, read }) => [
    field,
    read(given[option.attributeName()]),
  ]);
  return { prompt, ...Object.fromEntries(fields), use_cache: given.cache };
}

/** A text that is no number stays one, for the schema to refuse by name. */
export function toNumber(text: string | undefined): number | string | undefined {
  return text !== undefined && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim())
    ? Number(text)
    : text;
}

function describeOptions(operation: Operation): RequestOption[] {
  return Object.entries(schemas[operation].shape)
    .filter(([field]) => !NO_OPTIONS.has(field))
    .map(([field, schema]) => describeOption(field, schema as z.ZodType));
}

function describeOption(field: string, schema: z.ZodType): RequestOption {
  const kind = unwrap(schema);
  const isNumber = kind instanceof z.ZodNumber;
  const placeholder =
    kind instanceof z.ZodBoolean ? '' : isNumber ? ' <n>' : kind instanceof z.ZodEnum ? ' <kind>' : ' <text>';
  const flags = FLAGS[field] ?? `--${field.replaceAll('_', '-')}${placeholder}`;
  const about = (schema.description ?? '').replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase());
  if (kind instanceof z.ZodArray) {
    const option = new Option(flags, `${about}; may be repeated`).argParser(collect);
    const read: RequestOption['read'] = (value) =>
      field === 'loras' ? (value as string[] | undefined)?.map(parseLora) : value;
    return { field, option, read };
  }
  const option = new Option(flags, about);
  if (kind instanceof z.ZodEnum) option.choices(kind.options.map(String));
  return { field, option, read: (value) => (isNumber ? toNumber(value as string | undefined) : value) };
}

/** What stands inside "may be left out, may be null". */
function unwrap(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodNullable
    ? unwrap(schema.unwrap() as z.ZodType)
    : schema;
}

/** "file.safetensors:0.8"; a colon of a Windows drive is no strength. */
function parseLora(text: string): { path: string; strength: number } {
  const match = /^(.+):(-?\d+(?:\.\d+)?)$/.exec(text);
  return match ? { path: match[1]!, strength: Number(match[2]) } : { path: text, strength: 1 };
}
