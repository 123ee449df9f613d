// SDXL: prompt and size -> the second-to-last states of two CLIP text encoders side by side, and a vector of bigG's
// pooled text with the sizes (Podell et al. 2023, section 2.2).
import type { Tensor, TextEncoder } from '../../native/addon.js';
import { type Chunk, emptyChunk, padChunks } from '../../text/chunks.js';
import { clipEnd } from '../../text/clip-tokenizer.js';
import { needsNegative, RowEncoder, skipLayers } from '../clip-rows.js';
import { type LearnedVectors, noVectors, vocabularyOf } from '../embeddings.js';
import type { EncodedTexts, PromptConditioning, TextsRequest } from '../runtime.js';
import { chunkSdPrompt, countRows, type SdTokenizer } from '../sd/text.js';
import type { ModelPlan } from '../types.js';

/** In the order of the plan: CLIP-L, OpenCLIP bigG. */
const tokenizers: SdTokenizer[] = [
  { padding: clipEnd, cleaning: 'huggingface' },
  { padding: 0, cleaning: 'huggingface' },
];
/** Values that stand for one of the six sizes. */
const SIZE_WIDTH = 256;

export async function encodeSdxlTexts(
  encoders: TextEncoder[],
  plan: ModelPlan,
  request: TextsRequest,
  learned: LearnedVectors = noVectors,
): Promise<EncodedTexts> {
  const { syntax = 'webui', width, height, clipSkip } = request;
  const readers = encoders.map((encoder, i) => {
    const tokenizer = tokenizers[i]!;
    const encoderPlan = plan.textEncoders[i]!;
    const words = { syntax, words: learned.words, vocabulary: vocabularyOf(encoderPlan) };
    const rows = new RowEncoder(encoder, {
      layer: skipLayers(encoderPlan, clipSkip),
      norm: false,
      embeddings: learned.rows[i],
      empty: syntax === 'comfy' ? emptyChunk(tokenizer.padding) : undefined,
    });
    return {
      chunk: (text: string) => chunkSdPrompt(text, tokenizer, words),
      encode: (chunks: Chunk[], count: number) => rows.encode(padChunks(chunks, count, tokenizer.padding)),
    };
  });
  const { prompts } = request;
  const negativePrompts = needsNegative(request) ? request.negativePrompts : [];
  const count = countRows([...prompts, ...negativePrompts].map(readers[0]!.chunk), syntax);
  // the whole picture, not cropped, at its own size
  const sizes = [height, width, 0, 0, height, width];

  const encode = async (text: string): Promise<Encoded> => {
    const encoded = [];
    for (const { chunk, encode } of readers) encoded.push(await encode(chunk(text), count));
    const [l, g] = encoded;
    return { context: joinWidths(l!.states, g!.states), vector: appendSizes(g!.pooled!, sizes) };
  };
  const encodeSide = async (texts: readonly string[]): Promise<Encoded[]> => {
    // ComfyUI encodes an empty text as any other
    const nothing = syntax !== 'comfy' && texts.every((text) => text.trim() === '');
    const encoded = [];
    for (const text of texts) {
      const one = await encode(text);
      encoded.push(nothing ? clearText(one, sizes.length * SIZE_WIDTH) : one);
    }
    return encoded;
  };
  return { positives: await encodeSide(prompts), negatives: await encodeSide(negativePrompts), notes: [] };
}

type Encoded = Required<Pick<PromptConditioning, 'context' | 'vector'>>;

/** Without text, as in training: zeros, with the sizes at the vector's end kept. */
function clearText({ context, vector }: Encoded, sizes: number): Encoded {
  const cleared = vector.data.slice();
  cleared.fill(0, 0, cleared.length - sizes);
  return {
    context: { data: new Float32Array(context.data.length), shape: context.shape },
    vector: { data: cleared, shape: vector.shape },
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
