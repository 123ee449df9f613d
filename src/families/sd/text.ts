// SD 1.x and 2.x: prompt -> states of one CLIP text encoder, through its final norm.
import type { TextEncoder } from '../../native/addon.js';
import type { PromptSyntax } from '../../shared/prompt-syntaxes.js';
import { type Chunk, chunkComfyPrompt, chunkPrompt, emptyChunk, padChunks } from '../../text/chunks.js';
import { type ClipCleaning, encodeClip } from '../../text/clip-tokenizer.js';
import { parseComfyWeights } from '../../text/comfy-weights.js';
import type { LearnedWords } from '../../text/learned-words.js';
import { parsePromptWeights, requireUsableWeights } from '../../text/prompt-weights.js';
import { needsNegative, RowEncoder, skipLayers } from '../clip-rows.js';
import { type LearnedVectors, noVectors, vocabularyOf } from '../embeddings.js';
import type { EncodedTexts, TextsRequest } from '../runtime.js';
import type { ModelPlan } from '../types.js';

/** CLIP-L pads with its end token, OpenCLIP with 0. */
export interface SdTokenizer {
  padding: number;
  cleaning: ClipCleaning;
}

export async function encodeSdTexts(
  tokenizer: SdTokenizer,
  [encoder]: TextEncoder[],
  plan: ModelPlan,
  request: TextsRequest,
  learned: LearnedVectors = noVectors,
): Promise<EncodedTexts> {
  const { syntax = 'webui', prompts, negativePrompts } = request;
  const { padding } = tokenizer;
  const encoderPlan = plan.textEncoders[0]!;
  const rows = new RowEncoder(encoder!, {
    layer: skipLayers(encoderPlan, request.clipSkip),
    norm: true,
    embeddings: learned.rows[0],
    empty: syntax === 'comfy' ? emptyChunk(padding) : undefined,
  });
  const words = { words: learned.words, vocabulary: vocabularyOf(encoderPlan) };
  const chunk = (texts: readonly string[]) =>
    texts.map((text) => chunkSdPrompt(text, tokenizer, { syntax, ...words }));
  const positives = chunk(prompts);
  const negatives = needsNegative(request) ? chunk(negativePrompts) : [];
  const count = countRows([...positives, ...negatives], syntax);
  const encode = async (texts: Chunk[][]) => {
    const encoded = [];
    for (const chunks of texts)
      encoded.push({ context: (await rows.encode(padChunks(chunks, count, padding))).states });
    return encoded;
  };
  return { positives: await encode(positives), negatives: await encode(negatives), notes: [] };
}

/** Rows that every text gets: as many as the longest in the WebUI; in ComfyUI each keeps its own. */
export function countRows(texts: readonly Chunk[][], syntax: PromptSyntax): number {
  return syntax === 'comfy' ? 0 : Math.max(...texts.map(({ length }) => length));
}

export interface ChunkWords {
  syntax?: PromptSyntax;
  words?: LearnedWords;
  /** Ids from here on are those of `words`. */
  vocabulary?: number;
}

export function chunkSdPrompt(
  prompt: string,
  { padding, cleaning }: SdTokenizer,
  { syntax = 'webui', words = noVectors.words, vocabulary = 0 }: ChunkWords = {},
): Chunk[] {
  // ComfyUI tokenizes for OpenCLIP as for CLIP
  const plain = (text: string) => encodeClip(text, syntax === 'comfy' ? 'huggingface' : cleaning);
  const options = { encode: (text: string) => words.encode(text, plain, vocabulary), padding };
  if (syntax === 'plain') return chunkPrompt([{ text: prompt, weight: 1 }], options);
  const pieces = syntax === 'comfy' ? parseComfyWeights(prompt) : parsePromptWeights(prompt);
  requireUsableWeights(pieces);
  return syntax === 'comfy' ? chunkComfyPrompt(pieces, options) : chunkPrompt(pieces, options);
}
