// The options of generate, edit, inpaint and bench: those made from the request schema, and those that only the command
// line has.
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { factsOf, innerType } from '../service/request/field.js';
import { createRequestSchemas, type ImageOperation } from '../service/request/schema.js';
import { LIMITS } from '../shared/limits.js';
import { collect } from './collect.js';

/** The options as commander parsed them. */
export interface ImageOptions {
  output?: string;
  outputDir?: string;
  force?: true;
  preview?: string;
  verbose?: true;
  quiet?: true;
  json?: true;
  cache: boolean;
  /** The options from the schema. Numbers are still strings. */
  [name: string]: string | string[] | boolean | undefined;
}

interface RequestOption {
  field: string;
  option: Option;
  read(value: string | string[] | boolean | undefined): unknown;
}

// These schemas only describe the options. The request itself is checked later, under the user's settings.
const schemas = createRequestSchemas({ maxRes: LIMITS.largeSide });
const options = {
  generate: describeOptions('generate'),
  edit: describeOptions('edit'),
  inpaint: describeOptions('inpaint'),
};

export function addImageOptions(command: Command, operation: ImageOperation): Command {
  return addRequestOptions(command, operation)
    .option('--no-cache', 'neither reuse the image of an earlier request nor store this one')
    .option(
      '-o, --output <path>',
      'file to write; for a batch NAME.png, NAME_2.png … (default: named after time and seed)',
    )
    .option('--force', 'overwrite the files of --output')
    .option('--output-dir <folder>', 'folder to write to (default: OUTPUT_DIR)')
    .option('--preview <file>', 'PNG or JPEG file to update with a preview while the image is made')
    .option('--json', 'print one JSON document instead of the path')
    .option('-q, --quiet', 'no progress, no notes')
    .option('-v, --verbose', 'log what happens');
}

/** Adds the options of the given fields, or of all fields. */
export function addRequestOptions(command: Command, operation: ImageOperation, fields?: string[]): Command {
  for (const { field, option } of options[operation])
    if (!fields || fields.includes(field)) command.addOption(option);
  return command;
}

/** The parsed options as request fields. The schema checks them later. */
export function readOptions(
  operation: ImageOperation,
  prompt: string | undefined,
  given: Partial<ImageOptions>,
): Record<string, unknown> {
  const fields = options[operation].map(({ field, option, read }) => [
    field,
    read(given[option.attributeName()]),
  ]);
  return { prompt, ...Object.fromEntries(fields), use_cache: given.cache };
}

/** Text that is not a number stays text, so that the schema refuses the field by name. */
export function toNumber(text: string | undefined): number | string | undefined {
  return text !== undefined && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim())
    ? Number(text)
    : text;
}

/** Digits that a number would round stay a text: seeds have up to 20. */
function toExactNumber(text: string | undefined): number | string | undefined {
  const number = toNumber(text);
  return Number.isSafeInteger(number) ? number : text;
}

function describeOptions(operation: ImageOperation): RequestOption[] {
  return Object.entries<z.ZodType>(schemas[operation].shape)
    .filter(([, schema]) => factsOf(schema).flag !== null)
    .map(([field, schema]) => describeOption(field, schema));
}

function describeOption(field: string, schema: z.ZodType): RequestOption {
  const kind = innerType(schema);
  const isNumber = kind instanceof z.ZodNumber;
  const placeholder =
    kind instanceof z.ZodBoolean ? '' : isNumber ? ' <n>' : kind instanceof z.ZodEnum ? ' <kind>' : ' <text>';
  const flags = factsOf(schema).flag ?? `--${field.replaceAll('_', '-')}${placeholder}`;
  const about = (schema.description ?? '').replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase());
  if (kind instanceof z.ZodArray) {
    const option = new Option(flags, `${about}; may be repeated`).argParser(collect);
    const read: RequestOption['read'] = (value) =>
      field === 'loras' ? (value as string[] | undefined)?.map(parseLora) : value;
    return { field, option, read };
  }
  const option = new Option(flags, about);
  if (kind instanceof z.ZodEnum) option.choices(kind.options.map(String));
  const readText = isNumber ? toNumber : kind instanceof z.ZodUnion ? toExactNumber : undefined;
  return { field, option, read: (value) => (readText ? readText(value as string | undefined) : value) };
}

/**
 * Parses "file.safetensors:0.8", or "file.safetensors:0.8:0.4" with a strength for the text encoders. The colon of a Windows
 * drive does not begin a strength.
 */
function parseLora(text: string): { path: string; strength: number; text_strength?: number } {
  const [, path, strength, ofText] = /^(.+?):(-?\d+(?:\.\d+)?)(?::(-?\d+(?:\.\d+)?))?$/.exec(text) ?? [];
  if (path === undefined) return { path: text, strength: 1 };
  return { path, strength: Number(strength), ...(ofText !== undefined && { text_strength: Number(ofText) }) };
}
