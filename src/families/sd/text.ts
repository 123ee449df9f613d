// SD 1.x and 2.x: prompt -> states of one CLIP text encoder, through its final norm.
import type { TextEncoder } from '../../native/addon.js';
import { type Chunk, chunkPrompt, padChunks } from '../../text/chunks.js';
import { type ClipCleaning, encodeClip } from '../../text/clip-tokenizer.js';
import type { LearnedWords } from '../../text/learned-words.js';
import { parsePromptWeights } from '../../text/prompt-weights.js';
import { encodeRows, needsNegative, skipLayers } from '../clip-rows.js';
import { type LearnedVectors, noVectors, vocabularyOf } from '../embeddings.js';
import type { EncodedPrompts, PromptRequest } from '../runtime.js';
import type { ModelPlan } from '../types.js';

/** CLIP-L pads with its end token, OpenCLIP with 0. */
export interface SdTokenizer {
  padding: number;
  cleaning: ClipCleaning;
}

export async function encodeSdPrompts(
  tokenizer: SdTokenizer,
  [encoder]: TextEncoder[],
  plan: ModelPlan,
  request: PromptRequest,
  learned: LearnedVectors = noVectors,
): Promise<EncodedPrompts> {
  const embeddings = learned.rows[0];
  const chunk = (text: string) =>
    chunkSdPrompt(text, tokenizer, learned.words, vocabularyOf(plan.textEncoders[0]!));
  const layer = skipLayers(plan.textEncoders[0]!, request.clipSkip);
  const encode = async (chunks: Chunk[]) => ({
    context: (await encodeRows(encoder!, chunks, { layer, norm: true, embeddings })).states,
  });

  const positive = chunk(request.prompt);
  if (!needsNegative(request.guidance)) return { positive: await encode(positive) };
  const negative = chunk(request.negativePrompt);
  const rows = Math.max(positive.length, negative.length);
  return {
    positive: await encode(padChunks(positive, rows, tokenizer.padding)),
    negative: await encode(padChunks(negative, rows, tokenizer.padding)),
  };
}

/** Ids from `vocabulary` on are those of `words`. */
export function chunkSdPrompt(
  prompt: string,
  { padding, cleaning }: SdTokenizer,
  words: LearnedWords = noVectors.words,
  vocabulary = 0,
): Chunk[] {
  const plain = (text: string) => encodeClip(text, cleaning);
  const encode = (text: string) => words.encode(text, plain, vocabulary);
  return chunkPrompt(parsePromptWeights(prompt), { encode, padding });
}
