// Finds the tokenizer of a text encoder: in the file with the weights (GGUF metadata, or a tensor in ComfyUI's file of
// Mistral), else in a tokenizer.json or tekken.json beside it.
import { statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { invalid } from '../weights/check-tensors.js';
import { readBytes } from '../weights/read-bytes.js';
import { maxJsonBytes, parseJson, readJson } from '../weights/read-json.js';
import type { WeightFile } from '../weights/types.js';
import { ByteBpeTokenizer } from './byte-bpe-tokenizer.js';
import { hasGgufTokenizer, readGgufTokenizer } from './read-gguf-tokenizer.js';
import { readJsonTokenizer } from './read-json-tokenizer.js';
import { readTekken } from './read-tekken.js';
import type { ByteBpeData, Tokenizer, UnigramData } from './tokenizer.js';
import { UnigramTokenizer } from './unigram-tokenizer.js';

/** For messages: which tokenizer is looked for, and where its author published it. */
export interface WantedTokenizer {
  /** "T5". */
  what: string;
  /** "tokenizer_2/tokenizer.json of FLUX.1". */
  published: string;
}

type TextEncoderFile = Pick<WeightFile, 'path' | 'metadata' | 'tensors'>;

/** @throws MODEL_INCOMPLETE where no tokenizer is found, WEIGHTS_INVALID, UNSUPPORTED */
export async function loadTokenizer(weights: TextEncoderFile, wanted: WantedTokenizer): Promise<Tokenizer> {
  const place = findTokenizer(weights, wanted);
  const inside = readGgufTokenizer(weights.metadata, place) ?? (await readTekkenTensor(weights));
  if (inside) return createTokenizer(inside, place);
  const json = readJson(place) ?? {};
  return createTokenizer('config' in json ? readTekken(json, place) : readJsonTokenizer(json, place), place);
}

/**
 * Finds the file with the tokenizer without reading it.
 * @throws MODEL_INCOMPLETE if there is none
 */
export function findTokenizer(
  { path, metadata, tensors }: TextEncoderFile,
  { what, published }: WantedTokenizer,
): string {
  if (hasGgufTokenizer(metadata) || tensors.has(tekkenTensor)) return path;
  const own = `${basename(path).replace(/\.[^.]*$/, '')}.tokenizer.json`;
  const beside = placesBeside(path, own).find((place) =>
    statSync(place, { throwIfNoEntry: false })?.isFile(),
  );
  if (beside !== undefined) return beside;
  throw new ImageForgeError(
    'MODEL_INCOMPLETE',
    `${path} brings no tokenizer for ${what}, and none lies beside it.`,
    {
      hint: `Put ${published} into ${dirname(path)}, as tokenizer.json or ${own}; or use a GGUF file of ${what}, which brings its own.`,
      details: { file: path },
    },
  );
}

/** ComfyUI's file of Mistral holds its tekken.json in this tensor, as bytes. */
export const tekkenTensor = 'tekken_model';

/** Undefined if the file has none. @throws UNSUPPORTED, WEIGHTS_INVALID */
export async function readTekkenTensor({
  path,
  tensors,
}: Pick<WeightFile, 'path' | 'tensors'>): Promise<ByteBpeData | undefined> {
  const tensor = tensors.get(tekkenTensor);
  if (!tensor) return undefined;
  const { type, offset, bytes } = tensor;
  if (!/^[ui]8$/.test(type) || bytes > maxJsonBytes)
    throw invalid(
      path,
      `tekken_model is ${type} of ${bytes} bytes, where the text of a tekken.json was expected`,
    );
  const [text] = await readBytes([{ path, offset, bytes }]);
  return readTekken(parseJson(text!.toString('utf8').replace(/\0+$/, ''), `${path}: tekken_model`), path);
}

/** The places to look: beside the file, under its own name or the plain one, and where a diffusers folder keeps it. */
function placesBeside(path: string, own: string): string[] {
  const folder = dirname(path);
  const twin = join(dirname(folder), basename(folder).replace('text_encoder', 'tokenizer'));
  return [
    join(folder, own),
    join(folder, 'tokenizer.json'),
    join(folder, 'tokenizer', 'tokenizer.json'),
    join(twin, 'tokenizer.json'),
    join(folder, 'tekken.json'),
    join(twin, 'tekken.json'),
  ];
}

export function createTokenizer(data: UnigramData | ByteBpeData, file: string): Tokenizer {
  try {
    return data.model === 'unigram' ? new UnigramTokenizer(data) : new ByteBpeTokenizer(data);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ImageForgeError('WEIGHTS_INVALID', `${file}: its tokenizer is damaged: ${error.message}.`, {
      cause: error,
    });
  }
}
