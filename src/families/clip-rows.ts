// A prompt's rows through a CLIP text encoder: encoded one by one, weighted, laid behind each other.
import type { Tensor, TextEncoder } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import type { Chunk } from '../text/chunks.js';
import { applyEmphasis } from '../text/emphasis.js';
import type { TextEncoderPlan } from './types.js';

export interface EncodedRows {
  /** [tokens of all rows, width] */
  states: Tensor;
  /** Of the first row, [width]; absent where the network has none. */
  pooled?: Tensor;
}

/** States after `layer` blocks, through the final norm or not; `embeddings` are what ids beyond the vocabulary mean. */
export async function encodeRows(
  encoder: TextEncoder,
  chunks: Chunk[],
  { layer, norm, embeddings }: { layer: number; norm: boolean; embeddings?: Tensor | undefined },
): Promise<EncodedRows> {
  const rows: Float32Array[] = [];
  let width = 0;
  let first: Tensor | undefined;
  for (const { ids, weights } of chunks) {
    const { hidden, pooled } = await encoder.encode(ids, {
      layers: [layer],
      norm,
      ...(embeddings && { embeddings }),
    });
    first ??= pooled;
    width = hidden[0]!.shape[1]!;
    rows.push(applyEmphasis(hidden[0]!.data, weights));
  }
  const data = new Float32Array(rows.reduce((length, row) => length + row.length, 0));
  let at = 0;
  for (const row of rows) {
    data.set(row, at);
    at += row.length;
  }
  return { states: { data, shape: [data.length / width, width] }, ...(first && { pooled: first }) };
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

/** Guidance 1 is the plain conditional prediction; turbo models write it as 0. */
export function needsNegative(guidance: number): boolean {
  return guidance !== 1 && guidance !== 0;
}
