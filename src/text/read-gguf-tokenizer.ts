// The tokenizer in a GGUF file's metadata (llama.cpp's tokenizer.ggml.* keys).
import { ImageForgeError } from '../shared/errors.js';
import type { MetadataValue } from '../weights/types.js';
import type { ByteBpeData, UnigramData } from './tokenizer.js';
import { wordPatterns } from './word-patterns.js';

/** llama.cpp's token types. */
const normal = 1;
const unknown = 2;
const control = 3;
const userDefined = 4;

type Metadata = ReadonlyMap<string, MetadataValue>;

/** Undefined where the file has no tokenizer. @throws UNSUPPORTED, WEIGHTS_INVALID */
export function readGgufTokenizer(metadata: Metadata, file: string): UnigramData | ByteBpeData | undefined {
  if (!hasGgufTokenizer(metadata)) return undefined;
  const model = metadata.get('tokenizer.ggml.model');
  if (model === 't5') return readUnigram(metadata, file);
  if (model === 'gpt2') return readByteBpe(metadata, file);
  throw new ImageForgeError('UNSUPPORTED', `${file}: its tokenizer is of the kind "${String(model)}".`, {
    hint: 'Text encoders of FLUX bring "t5" or "gpt2"; use the file published for image generation.',
  });
}

export function hasGgufTokenizer(metadata: Metadata): boolean {
  return metadata.has('tokenizer.ggml.model') && metadata.has('tokenizer.ggml.tokens');
}

function readUnigram(metadata: Metadata, file: string): UnigramData {
  const pieces = readStrings(metadata, 'tokens', file);
  const scores = readNumbers(metadata, 'scores', file, pieces.length);
  const types = readNumbers(metadata, 'token_type', file, pieces.length);
  const charsmap = metadata.get('tokenizer.ggml.precompiled_charsmap');
  return {
    model: 'unigram',
    pieces,
    scores,
    special: new Set(types.flatMap((type, id) => (type === normal ? [] : id))),
    unknown: Number(metadata.get('tokenizer.ggml.unknown_token_id') ?? types.indexOf(unknown)),
    ...(Array.isArray(charsmap) && { charsmap: Uint8Array.from(charsmap, Number) }),
  };
}

function readByteBpe(metadata: Metadata, file: string): ByteBpeData {
  const split = metadata.get('tokenizer.ggml.pre');
  if (split !== 'qwen2' && split !== 'tekken')
    throw new ImageForgeError(
      'UNSUPPORTED',
      `${file}: its tokenizer splits words as "${String(split)}"; ${Object.keys(wordPatterns).join(' and ')} are known.`,
    );
  const tokens = readStrings(metadata, 'tokens', file);
  const types = readNumbers(metadata, 'token_type', file, tokens.length);
  const merges = readStrings(metadata, 'merges', file).map((merge): [string, string] => {
    const gap = merge.indexOf(' ', 1);
    return [merge.slice(0, gap), merge.slice(gap + 1)];
  });
  const special = types.flatMap((type, id): [string, number][] =>
    type === control || type === userDefined ? [[tokens[id]!, id]] : [],
  );
  return {
    model: 'bpe',
    tokens,
    merges,
    special: new Map(special.filter(([token]) => token !== '')),
    split,
    nfc: split === 'qwen2',
    wholeWords: split === 'tekken',
  };
}

function readStrings(metadata: Metadata, name: string, file: string): string[] {
  const values = readArray(metadata, name, file);
  if (!values.every((value) => typeof value === 'string')) throw invalid(file, name, 'strings');
  return values;
}

function readNumbers(metadata: Metadata, name: string, file: string, length: number): number[] {
  const values = readArray(metadata, name, file).map(Number);
  if (values.length !== length || values.some(Number.isNaN)) throw invalid(file, name, `${length} numbers`);
  return values;
}

function readArray(metadata: Metadata, name: string, file: string): MetadataValue[] {
  const value = metadata.get(`tokenizer.ggml.${name}`);
  if (!Array.isArray(value)) throw invalid(file, name, 'an array');
  return value;
}

function invalid(file: string, name: string, expected: string): ImageForgeError {
  return new ImageForgeError('WEIGHTS_INVALID', `${file}: tokenizer.ggml.${name} should hold ${expected}.`);
}
