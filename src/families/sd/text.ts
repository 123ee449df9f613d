// SD 1.x and 2.x: prompt -> states of one CLIP text encoder, through its final norm.
import type { TextEncoder } from '../../native/addon.js';
import { type Chunk, chunkPrompt, padChunks } from '../../text/chunks.js';
import { type ClipCleaning, encodeClip } from '../../text/clip-tokenizer.js';
import { parsePromptWeights } from '../../text/prompt-weights.js';
import { encodeRows, needsNegative, skipLayers } from '../clip-rows.js';
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
): Promise<EncodedPrompts> {
  const layer = skipLayers(plan.textEncoders[0]!, request.clipSkip);
  const encode = async (chunks: Chunk[]) => ({
    context: (await encodeRows(encoder!, chunks, { layer, norm: true })).states,
  });

  const positive = chunkSdPrompt(request.prompt, tokenizer);
  if (!needsNegative(request.guidance)) return { positive: await encode(positive) };
  const negative = chunkSdPrompt(request.negativePrompt, tokenizer);
  const rows = Math.max(positive.length, negative.length);
  return {
    positive: await encode(padChunks(positive, rows, tokenizer.padding)),
    negative: await encode(padChunks(negative, rows, tokenizer.padding)),
  };
}

export function chunkSdPrompt(prompt: string, { padding, cleaning }: SdTokenizer): Chunk[] {
  return chunkPrompt(parsePromptWeights(prompt), { encode: (text) => encodeClip(text, cleaning), padding });
}
