// Decodes large pictures in little memory: in overlapping tiles whose seams are blended. Colours may differ a little
// between tiles, so this is done only if the picture does not fit as a whole.
import type { Autoencoder, Pixels, Tensor } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { throwIfAborted } from './abort.js';

export interface TileSize {
  /** Side of a tile in latent cells. */
  side: number;
  /** Cells that neighbouring tiles share. */
  overlap: number;
}

const TILES: TileSize = { side: 64, overlap: 16 };

/** Where tiles begin along an axis. They have one length and cover the axis. */
export function placeTiles(length: number, { side, overlap }: TileSize): number[] {
  if (length <= side) return [0];
  const count = Math.ceil((length - overlap) / (side - overlap));
  return Array.from({ length: count }, (_, i) => Math.round((i * (length - side)) / (count - 1)));
}

/** Decodes a latent [channels, rows, columns], as a whole if memory allows, else in tiles. */
export async function decodeLatent(
  autoencoder: Autoencoder,
  latent: Tensor,
  signal: AbortSignal | undefined,
  tiles: TileSize = TILES,
): Promise<Pixels> {
  throwIfAborted(signal);
  try {
    return await autoencoder.decode(latent);
  } catch (error) {
    if (!isRefused(error, latent.shape, tiles)) throw error;
  }
  return decodeTiles(autoencoder, latent, signal, tiles);
}

/** Whether memory was short and tiles would be smaller than the whole. */
function isRefused(error: unknown, [, rows, columns]: number[], { side }: TileSize): boolean {
  return ImageForgeError.from(error).code === 'OUT_OF_MEMORY' && (rows! > side || columns! > side);
}

export async function decodeTiles(
  autoencoder: Autoencoder,
  latent: Tensor,
  signal: AbortSignal | undefined,
  tiles: TileSize = TILES,
): Promise<Pixels> {
  const [, rows, columns] = latent.shape as [number, number, number];
  let canvas: Canvas | undefined;
  for (const top of placeTiles(rows, tiles))
    for (const left of placeTiles(columns, tiles)) {
      throwIfAborted(signal);
      const height = Math.min(tiles.side, rows);
      const width = Math.min(tiles.side, columns);
      const tile = await autoencoder.decode(cut(latent, top, left, height, width));
      const factor = tile.width / width;
      canvas ??= new Canvas(columns * factor, rows * factor);
      canvas.add(tile, left * factor, top * factor, tiles.overlap * factor);
    }
  return canvas!.finish();
}

function cut({ data, shape }: Tensor, top: number, left: number, height: number, width: number): Tensor {
  const [channels, rows, columns] = shape as [number, number, number];
  const part = new Float32Array(channels * height * width);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < height; y++) {
      const from = (c * rows + top + y) * columns + left;
      part.set(data.subarray(from, from + width), (c * height + y) * width);
    }
  return { data: part, shape: [channels, height, width] };
}

/** Each pixel is the weighted mean of the tiles that cover it; a tile's weight falls towards the edges it shares. */
class Canvas {
  readonly #sums: Float32Array;
  readonly #weights: Float32Array;
  readonly #width: number;
  readonly #height: number;

  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
    this.#sums = new Float32Array(width * height * 3);
    this.#weights = new Float32Array(width * height);
  }

  add({ rgb, width, height }: Pixels, left: number, top: number, overlap: number): void {
    const across = this.#ramp(left, width, this.#width, overlap);
    const down = this.#ramp(top, height, this.#height, overlap);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const weight = across[x]! * down[y]!;
        const to = (top + y) * this.#width + left + x;
        this.#weights[to]! += weight;
        for (let c = 0; c < 3; c++) this.#sums[to * 3 + c]! += weight * rgb[(y * width + x) * 3 + c]!;
      }
  }

  finish(): Pixels {
    const rgb = Uint8Array.from(this.#sums, (sum, i) => Math.round(sum / this.#weights[Math.floor(i / 3)]!));
    return { rgb, width: this.#width, height: this.#height };
  }

  /** Weights along one axis: 1 inside and at the canvas's border, falling over the overlap elsewhere. */
  #ramp(from: number, length: number, whole: number, overlap: number): Float32Array {
    return Float32Array.from({ length }, (_, i) => {
      const before = from === 0 ? 1 : (i + 0.5) / overlap;
      const after = from + length === whole ? 1 : (length - i - 0.5) / overlap;
      return Math.min(1, before, after);
    });
  }
}
