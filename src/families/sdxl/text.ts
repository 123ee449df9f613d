// SDXL: prompt and size -> the last but one states of two CLIP text encoders side by side, and a vector of bigG's
// pooled text with the sizes (Podell et al. 2023, section 2.2).
import type { Tensor, TextEncoder } from '../../native/addon.js';
import { padChunks } from '../../text/chunks.js';
import { clipEnd } from '../../text/clip-tokenizer.js';
import { encodeRows, needsNegative, skipLayers } from '../clip-rows.js';
import { type LearnedVectors, noVectors, vocabularyOf } from '../embeddings.js';
import type { EncodedPrompts, PromptConditioning, PromptRequest } from '../runtime.js';
import { chunkSdPrompt, type SdTokenizer } from '../sd/text.js';
import type { ModelPlan } from '../types.js';

/** In the order of the plan: CLIP-L, OpenCLIP bigG. */
const tokenizers: SdTokenizer[] = [
  { padding: clipEnd, cleaning: 'huggingface' },
  { padding: 0, cleaning: 'huggingface' },
];
/** Values that stand for one of the six sizes. */
const SIZE_WIDTH = 256;

export async function encodeSdxlPrompts(
  encoders: TextEncoder[],
  plan: ModelPlan,
  request: PromptRequest,
  learned: LearnedVectors = noVectors,
): Promise<EncodedPrompts> {
  const { prompt, negativePrompt, guidance, width, height } = request;
  const guided = needsNegative(guidance);
  const chunk = (text: string, i: number) =>
    chunkSdPrompt(text, tokenizers[i]!, learned.words, vocabularyOf(plan.textEncoders[i]!));
  const count = (text: string) => chunk(text, 0).length;
  const rows = Math.max(count(prompt), guided ? count(negativePrompt) : 0);
  // the whole picture, not cropped, at its own size
  const sizes = [height, width, 0, 0, height, width];

  const encode = async (text: string): Promise<Required<Pick<PromptConditioning, 'context' | 'vector'>>> => {
    const encoded = [];
    for (const [i, encoder] of encoders.entries()) {
      const { padding } = tokenizers[i]!;
      const chunks = padChunks(chunk(text, i), rows, padding);
      const layer = skipLayers(plan.textEncoders[i]!, request.clipSkip);
      encoded.push(await encodeRows(encoder, chunks, { layer, norm: false, embeddings: learned.rows[i] }));
    }
    const [l, g] = encoded;
    return { context: joinWidths(l!.states, g!.states), vector: appendSizes(g!.pooled!, sizes) };
  };

  const positive = await encode(prompt);
  if (!guided) return { positive };
  if (negativePrompt.trim() !== '') return { positive, negative: await encode(negativePrompt) };
  // the model was trained with zeros where there was no text
  const { shape, data } = positive.context;
  const pooled = positive.vector.data.length - sizes.length * SIZE_WIDTH;
  return {
    positive,
    negative: {
      context: { shape, data: new Float32Array(data.length) },
      vector: appendSizes({ data: new Float32Array(pooled), shape: [pooled] }, sizes),
    },
  };
}

/** [tokens, a] and [tokens, b] -> [tokens, a + b] */
function joinWidths(left: Tensor, right: Tensor): Tensor {
  const [tokens, a] = left.shape as [number, number];
  const b = right.shape[1]!;
  const data = new Float32Array(tokens * (a + b));
  for (let i = 0; i < tokens; i++) {
    data.set(left.data.subarray(i * a, (i + 1) * a), i * (a + b));
    data.set(right.data.subarray(i * b, (i + 1) * b), i * (a + b) + a);
  }
  return { data, shape: [tokens, a + b] };
}

/** The pooled text, then each size as the cosines and sines of 128 frequencies. */
export function appendSizes(pooled: Tensor, sizes: number[]): Tensor {
  const half = SIZE_WIDTH / 2;
  const data = new Float32Array(pooled.data.length + sizes.length * SIZE_WIDTH);
  data.set(pooled.data);
  for (const [n, size] of sizes.entries()) {
    const at = pooled.data.length + n * SIZE_WIDTH;
    for (let i = 0; i < half; i++) {
      const angle = size * 10000 ** (-i / half);
      data[at + i] = Math.cos(angle);
      data[at + half + i] = Math.sin(angle);
    }
  }
  return { data, shape: [data.length] };
}
