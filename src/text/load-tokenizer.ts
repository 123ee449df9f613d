// Finds the tokenizer of a text encoder: in the file that brings the weights (GGUF's metadata, or the tensor that
// ComfyUI's file of Mistral has), else in a tokenizer.json or tekken.json beside it.
import { basename, dirname, join } from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { invalid } from '../weights/check-tensors.js';
import { readBytes } from '../weights/read-bytes.js';
import { maxJsonBytes, parseJson, readJson } from '../weights/read-json.js';
import type { WeightFile } from '../weights/types.js';
import { ByteBpeTokenizer } from './byte-bpe-tokenizer.js';
import { readGgufTokenizer } from './read-gguf-tokenizer.js';
import { readJsonTokenizer } from './read-json-tokenizer.js';
import { readTekken } from './read-tekken.js';
import type { ByteBpeData, Tokenizer, UnigramData } from './tokenizer.js';
import { UnigramTokenizer } from './unigram-tokenizer.js';

/** For people: whose tokenizer is looked for, and where its author published it. */
export interface WantedTokenizer {
  /** "T5". */
  what: string;
  /** "tokenizer_2/tokenizer.json of FLUX.1". */
  published: string;
}

/** @throws MODEL_INCOMPLETE where no tokenizer is found, WEIGHTS_INVALID, UNSUPPORTED */
export async function loadTokenizer(
  weights: Pick<WeightFile, 'path' | 'metadata' | 'tensors'>,
  { what, published }: WantedTokenizer,
): Promise<Tokenizer> {
  const { path } = weights;
  const inside = readGgufTokenizer(weights.metadata, path) ?? (await readTekkenTensor(weights));
  if (inside) return createTokenizer(inside, path);
  const own = `${basename(path).replace(/\.[^.]*$/, '')}.tokenizer.json`;
  for (const place of placesBeside(path, own)) {
    const json = readJson(place);
    if (json)
      return createTokenizer(
        'config' in json ? readTekken(json, place) : readJsonTokenizer(json, place),
        place,
      );
  }
  throw new ImageForgeError(
    'MODEL_INCOMPLETE',
    `${path} brings no tokenizer for ${what}, and none lies beside it.`,
    {
      hint: `Put ${published} into ${dirname(path)}, as tokenizer.json or ${own}; or use a GGUF file of ${what}, which brings its own.`,
      details: { file: path },
    },
  );
}

/** ComfyUI's file of Mistral has its tekken.json as a tensor of bytes. */
async function readTekkenTensor({
  path,
  tensors,
}: Pick<WeightFile, 'path' | 'tensors'>): Promise<ByteBpeData | undefined> {
  const tensor = tensors.get('tekken_model');
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

/** Beside the file under its own or the plain name, and where diffusers' folders have it. */
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
