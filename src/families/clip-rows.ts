// A prompt's rows through a CLIP text encoder: encoded one by one, weighted, and joined.
import type { Tensor, TextEncoder } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import type { Chunk } from '../text/chunks.js';
import { applyEmphasis, interpolateFromEmpty } from '../text/emphasis.js';
import type { EncodeOptions } from './runtime.js';
import type { TextEncoderPlan } from './types.js';

export interface EncodedRows {
  /** [tokens of all rows, width] */
  states: Tensor;
  /** Of the first row, [width]; absent where the network has none. */
  pooled?: Tensor;
}

export interface RowOptions {
  /** Count of blocks after which the states are taken. */
  layer: number;
  /** Whether the final norm follows. */
  norm: boolean;
  /** What the ids beyond the vocabulary mean. */
  embeddings?: Tensor | undefined;
  /** The row without words, where weights reach from its states instead of scaling a token's own (ComfyUI). */
  empty?: Chunk | undefined;
}

type EncodedRow = Awaited<ReturnType<TextEncoder['encode']>>;

/** Encodes the rows of a request's texts; a row that comes again, such as an empty one, is not encoded again. */
export class RowEncoder {
  readonly #encoder: TextEncoder;
  readonly #options: RowOptions;
  readonly #known = new Map<string, EncodedRow>();

  constructor(encoder: TextEncoder, options: RowOptions) {
    this.#encoder = encoder;
    this.#options = options;
  }

  async encode(chunks: readonly Chunk[]): Promise<EncodedRows> {
    const { empty } = this.#options;
    const reference = empty && chunks.some(isWeighted) ? await this.#row(empty) : undefined;
    const rows: Float32Array[] = [];
    let width = 0;
    let first: Tensor | undefined;
    for (const [i, chunk] of chunks.entries()) {
      const { hidden, pooled } = await this.#row(chunk);
      const states = hidden[0]!.data;
      if (i === 0) first = pooled;
      width = hidden[0]!.shape[1]!;
      if (!empty) rows.push(applyEmphasis(states, chunk.weights));
      else if (reference) rows.push(interpolateFromEmpty(states, reference.hidden[0]!.data, chunk.weights));
      else rows.push(states);
    }
    const data = new Float32Array(rows.reduce((length, row) => length + row.length, 0));
    let at = 0;
    for (const row of rows) {
      data.set(row, at);
      at += row.length;
    }
    return { states: { data, shape: [data.length / width, width] }, ...(first && { pooled: first }) };
  }

  async #row({ ids }: Chunk): Promise<EncodedRow> {
    const key = ids.join();
    const { layer, norm, embeddings } = this.#options;
    const encoded =
      this.#known.get(key) ??
      (await this.#encoder.encode(ids, { layers: [layer], norm, ...(embeddings && { embeddings }) }));
    this.#known.set(key, encoded);
    return encoded;
  }
}

function isWeighted({ weights }: Chunk): boolean {
  return weights.some((weight) => weight !== 1);
}

/** Blocks that run: the plan's, less one for each layer that is skipped beyond the family's own. */
export function skipLayers(plan: TextEncoderPlan, clipSkip: number): number {
  const last = plan.layers[0]!;
  const layer = last + 1 - clipSkip;
  if (layer < 1)
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `clipSkip: expected at most ${last}, the layers of this model's text encoder, found ${clipSkip}.`,
      { details: { option: 'clipSkip' } },
    );
  return layer;
}

/** Guidance 1 is the plain conditional prediction; turbo models write it as 0. Combined prompts start from a negative. */
export function needsNegative({
  guidance,
  combined = false,
}: Pick<EncodeOptions, 'guidance' | 'combined'>): boolean {
  return combined || (guidance !== 1 && guidance !== 0);
}
