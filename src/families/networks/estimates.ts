// Memory estimates that several networks share.
import type { Workload } from './network.js';

/** Pixels of a tile. Autoencoders compute a picture in tiles where memory is short. */
const TILE_PIXELS = 512 * 512;

/** Bytes of F32 maps of so many channels at full resolution, when a picture is decoded with the least memory. */
export function tileMaps(channels: number, maps: number, { pixels }: Pick<Workload, 'pixels'>): number {
  return Math.min(pixels, TILE_PIXELS) * channels * 4 * maps;
}

/** A block of a transformer over text holds about this many states of the row: residual, norms, heads, scores. */
const STATES = 16;
/** And as many of the feed-forward's hidden values: the gate, the values, their product. */
const HIDDEN = 3;

/** Bytes that a transformer over a row of text computes with. */
export function textStates(
  { width, intermediate }: { width: number; intermediate: number },
  { tokens }: Pick<Workload, 'tokens'>,
): number {
  return tokens * (STATES * width + HIDDEN * intermediate) * 4;
}
