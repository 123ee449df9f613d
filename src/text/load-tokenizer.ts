// Finds the tokenizer of a text encoder: in the GGUF file that brings the weights, else in a tokenizer.json beside it.
import { basename, dirname, join } from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { readJson } from '../weights/read-json.js';
import type { WeightFile } from '../weights/types.js';
import { ByteBpeTokenizer } from './byte-bpe-tokenizer.js';
import { readGgufTokenizer } from './read-gguf-tokenizer.js';
import { readJsonTokenizer } from './read-json-tokenizer.js';
import type { ByteBpeData, Tokenizer, UnigramData } from './tokenizer.js';
import { UnigramTokenizer } from './unigram-tokenizer.js';

/** @throws MODEL_INCOMPLETE where no tokenizer is found, WEIGHTS_INVALID, UNSUPPORTED */
export function loadTokenizer(weights: Pick<WeightFile, 'path' | 'metadata'>): Tokenizer {
  const inside = readGgufTokenizer(weights.metadata, weights.path);
  if (inside) return createTokenizer(inside, weights.path);
  for (const path of placesBeside(weights.path)) {
    const json = readJson(path);
    if (json) return createTokenizer(readJsonTokenizer(json, path), path);
  }
  throw new ImageForgeError(
    'MODEL_INCOMPLETE',
    `${weights.path} brings no tokenizer, and none lies beside it.`,
    {
      hint: `Use a GGUF file of the text encoder, or put its tokenizer.json into ${dirname(weights.path)}.`,
      details: { file: weights.path },
    },
  );
}

/** Beside the file under its own or the plain name, and where diffusers' folders have it. */
function placesBeside(path: string): string[] {
  const folder = dirname(path);
  const own = `${basename(path).replace(/\.[^.]*$/, '')}.tokenizer.json`;
  const twin = basename(folder).replace('text_encoder', 'tokenizer');
  return [
    join(folder, own),
    join(folder, 'tokenizer.json'),
    join(folder, 'tokenizer', 'tokenizer.json'),
    join(dirname(folder), twin, 'tokenizer.json'),
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
