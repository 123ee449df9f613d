// SD 1.x and 2.x: prompt -> CLIP states. Rows of 75 tokens are encoded one by one and laid behind each other.
import type { Tensor, TextEncoder } from '../../native/addon.js';
import { ImageForgeError } from '../../shared/errors.js';
import { type Chunk, chunkPrompt, padChunks } from '../../text/chunks.js';
import { type ClipCleaning, encodeClip } from '../../text/clip-tokenizer.js';
import { applyEmphasis } from '../../text/emphasis.js';
import { parsePromptWeights } from '../../text/prompt-weights.js';
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
  const layer = findLayer(plan, request.clipSkip);
  const encode = async (chunks: Chunk[]) => ({ context: await encodeChunks(encoder!, chunks, layer) });

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

/** Blocks that run: the plan's, less one for each layer skipped beyond the last. */
function findLayer(plan: ModelPlan, clipSkip: number): number {
  const last = plan.textEncoders[0]!.layers[0]!;
  const layer = last + 1 - clipSkip;
  if (layer < 1)
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `clipSkip is ${clipSkip}, but this model's text encoder has ${last} layers to choose from.`,
    );
  return layer;
}

/** Guidance 1 is the plain conditional prediction; turbo models write it as 0. */
function needsNegative(guidance: number): boolean {
  return guidance !== 1 && guidance !== 0;
}

/** States [77 * rows, width] after `layer` blocks, through the final norm. */
async function encodeChunks(encoder: TextEncoder, chunks: Chunk[], layer: number): Promise<Tensor> {
  const rows: Float32Array[] = [];
  let width = 0;
  for (const { ids, weights } of chunks) {
    const { hidden } = await encoder.encode(ids, { layers: [layer], norm: true });
    const states = hidden[0]!;
    width = states.shape[1]!;
    rows.push(applyEmphasis(states.data, weights));
  }
  const data = new Float32Array(rows.reduce((length, row) => length + row.length, 0));
  let at = 0;
  for (const row of rows) {
    data.set(row, at);
    at += row.length;
  }
  return { data, shape: [data.length / width, width] };
}
