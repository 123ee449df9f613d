// The tokenizer in a tokenizer.json (Hugging Face's format), as far as T5, Qwen and Mistral need it.
import { z } from 'zod';
import { ImageForgeError } from '../shared/errors.js';
import type { ByteBpeData, UnigramData } from './tokenizer.js';
import { wordPatterns } from './word-patterns.js';

const addedToken = z.object({ id: z.number().int().nonnegative(), content: z.string() });
const step = z.object({
  type: z.string(),
  precompiled_charsmap: z.string().nullish(),
  pattern: z.object({ Regex: z.string().optional() }).optional(),
});
const steps = z.object({
  normalizers: z.array(step).optional(),
  pretokenizers: z.array(step).optional(),
  ...step.shape,
});
const unigram = z.object({
  type: z.literal('Unigram'),
  unk_id: z.number().int().nonnegative(),
  vocab: z.array(z.tuple([z.string(), z.number()])),
});
const bpe = z.object({
  type: z.literal('BPE'),
  vocab: z.record(
    z.string(),
    z
      .number()
      .int()
      .nonnegative()
      .max(2 ** 20),
  ),
  merges: z.array(z.union([z.tuple([z.string(), z.string()]), z.string()])),
  ignore_merges: z.boolean().nullish(),
});
const tokenizerJson = z.object({
  added_tokens: z.array(addedToken).default([]),
  normalizer: steps.nullish(),
  pre_tokenizer: steps.nullish(),
  model: z.discriminatedUnion('type', [unigram, bpe]),
});

type TokenizerJson = z.infer<typeof tokenizerJson>;

/** @throws UNSUPPORTED, WEIGHTS_INVALID */
export function readJsonTokenizer(value: unknown, file: string): UnigramData | ByteBpeData {
  const parsed = tokenizerJson.safeParse(value);
  if (!parsed.success)
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${file} is not a tokenizer of a known form: ${z.prettifyError(parsed.error)}`,
    );
  const { model } = parsed.data;
  return model.type === 'Unigram' ? toUnigram(parsed.data, model) : toByteBpe(parsed.data, model, file);
}

function toUnigram(json: TokenizerJson, model: z.infer<typeof unigram>): UnigramData {
  const charsmap = stepsOf(json.normalizer).find(({ type }) => type === 'Precompiled')?.precompiled_charsmap;
  return {
    model: 'unigram',
    pieces: model.vocab.map(([piece]) => piece),
    scores: model.vocab.map(([, score]) => score),
    special: new Set(json.added_tokens.map(({ id }) => id)),
    unknown: model.unk_id,
    ...(charsmap && { charsmap: Buffer.from(charsmap, 'base64') }),
  };
}

function toByteBpe(json: TokenizerJson, model: z.infer<typeof bpe>, file: string): ByteBpeData {
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token;
  return {
    model: 'bpe',
    tokens: Array.from(tokens),
    merges: model.merges.map((merge) => (typeof merge === 'string' ? splitMerge(merge) : merge)),
    special: new Map(json.added_tokens.map(({ id, content }) => [content, id])),
    split: findSplit(json, file),
    nfc: stepsOf(json.normalizer).some(({ type }) => type === 'NFC'),
    wholeWords: model.ignore_merges ?? false,
  };
}

function findSplit(json: TokenizerJson, file: string): ByteBpeData['split'] {
  const found = stepsOf(json.pre_tokenizer).find(({ type }) => type === 'Split')?.pattern?.Regex;
  for (const [name, { source }] of Object.entries(wordPatterns))
    if (source === found) return name as ByteBpeData['split'];
  throw new ImageForgeError(
    'UNSUPPORTED',
    `${file}: its tokenizer splits words by a pattern other than those of ${Object.keys(wordPatterns).join(' and ')}.`,
    { details: { pattern: found ?? null } },
  );
}

function splitMerge(merge: string): [string, string] {
  const gap = merge.indexOf(' ', 1);
  return [merge.slice(0, gap), merge.slice(gap + 1)];
}

/** A single step, or those of a sequence. */
function stepsOf(value: z.infer<typeof steps> | null | undefined): z.infer<typeof step>[] {
  if (!value) return [];
  return value.normalizers ?? value.pretokenizers ?? [value];
}
