// Enlarges pictures with an ESRGAN upscaler, in overlapping tiles whose side follows from the free memory, so that a
// picture of any size takes as much memory as one tile. Neighbours are blended where both know enough around a pixel.
import { planUpscaler, type UpscalerPlan } from '../families/upscaler.js';
import type { Engine, Pixels, Upscaler } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { throwIfAborted, withAbort } from './abort.js';

export interface UpscaleOptions {
  /** Largest side of a tile in pixels of the source. Default: follows from the free memory. */
  tile?: number | undefined;
  signal?: AbortSignal | undefined;
  onTile?: ((done: number, tiles: number) => void) | undefined;
}

/** Pixels of the source that neighbouring tiles share. What is further away hardly affects a pixel. */
const OVERLAP = 32;
export const SMALLEST = 64;
const LARGEST = 512;
/** Bound of a tile's memory even if more is free: larger tiles are hardly faster. */
const MOST_BYTES = 2 ** 30;

/**
 * Loads the upscaler, enlarges every picture and frees the upscaler again.
 * @throws ImageForgeError ABORTED when the signal fires, OUT_OF_MEMORY when the smallest tile doesn't fit, and the codes
 *   of reading weights.
 */
export async function upscalePictures(
  engine: Engine,
  path: string,
  pictures: readonly Pixels[],
  options: Omit<UpscaleOptions, 'onTile'> & {
    onTile?: (picture: number, done: number, tiles: number) => void;
  },
): Promise<Pixels[]> {
  const plan = await planUpscaler(path);
  return withAbort(engine, options.signal, async () => {
    const upscaler = await engine.loadUpscaler(plan.kind, plan.config, plan.weights);
    try {
      const larger: Pixels[] = [];
      for (const [i, picture] of pictures.entries()) {
        const onTile = (done: number, tiles: number) => options.onTile?.(i, done, tiles);
        const tile = options.tile ?? chooseTile(plan, engine.memory().deviceFree);
        larger.push(await upscaleFitting(upscaler, plan, picture, { ...options, tile, onTile }));
      }
      return larger;
    } finally {
      await upscaler.close();
    }
  });
}

/** Side of the largest tile that fits into half of the free memory. */
export function chooseTile({ bytesPerPixel }: Pick<UpscalerPlan, 'bytesPerPixel'>, free: number): number {
  const side = Math.floor(Math.sqrt(Math.min(free / 2, MOST_BYTES) / bytesPerPixel));
  return Math.min(LARGEST, Math.max(SMALLEST, side - (side % 8)));
}

/** Tries smaller tiles if the memory is not free any more. */
async function upscaleFitting(
  upscaler: Upscaler,
  plan: UpscalerPlan,
  picture: Pixels,
  options: UpscaleOptions & { tile: number },
): Promise<Pixels> {
  for (let tile = options.tile; ; tile = Math.max(SMALLEST, Math.floor(tile / 2))) {
    try {
      return await upscalePicture(upscaler, plan, picture, { ...options, tile });
    } catch (error) {
      if (ImageForgeError.from(error).code !== 'OUT_OF_MEMORY' || tile <= SMALLEST) throw error;
    }
  }
}

export async function upscalePicture(
  upscaler: Upscaler,
  { scale, multiple }: Pick<UpscalerPlan, 'scale' | 'multiple'>,
  picture: Pixels,
  { tile, signal, onTile }: UpscaleOptions & { tile: number },
): Promise<Pixels> {
  const across = divide(picture.width, tile, multiple);
  const down = divide(picture.height, tile, multiple);
  const [width, height] = [picture.width * scale, picture.height * scale];
  const larger: Pixels = { rgb: new Uint8Array(width * height * 3), width, height };
  const tiles = across.starts.length * down.starts.length;
  let done = 0;
  onTile?.(done, tiles);
  for (const top of down.starts)
    for (const left of across.starts) {
      throwIfAborted(signal);
      const made = await upscaler.upscale(cut(picture, left, top, across.side, down.side));
      lay(larger, made, left * scale, top * scale, scale);
      onTile?.(++done, tiles);
    }
  return larger;
}

/** Covers a length with tiles of one side and as little waste as possible. Tiles start at multiples. */
export function divide(length: number, most: number, multiple: number): { side: number; starts: number[] } {
  const up = (value: number) => Math.ceil(value / multiple) * multiple;
  const whole = up(length);
  if (whole <= most) return { side: whole, starts: [0] };
  const count = Math.ceil((length - OVERLAP) / (most - OVERLAP));
  const side = up((length + (count - 1) * OVERLAP) / count);
  const starts = Array.from({ length: count }, (_, i) => {
    const start = (i * (whole - side)) / (count - 1);
    return start - (start % multiple);
  });
  return { side, starts };
}

/** Cuts a part out of a picture; beyond the edge the edge's pixels are repeated. */
function cut({ rgb, width, height }: Pixels, left: number, top: number, w: number, h: number): Pixels {
  const part = new Uint8Array(w * h * 3);
  const inside = Math.min(w, width - left);
  for (let y = 0; y < h; y++) {
    const from = (Math.min(top + y, height - 1) * width + left) * 3;
    const row = part.subarray(y * w * 3, (y + 1) * w * 3);
    row.set(rgb.subarray(from, from + inside * 3));
    for (let i = inside * 3; i < row.length; i++) row[i] = row[i - 3]!;
  }
  return { rgb: part, width: w, height: h };
}

/**
 * Lays a tile over those on its left and above. The outer quarter of the overlap shows the neighbour, the middle half
 * fades over to the tile. At its right and bottom the tile leaves out what the next ones cover.
 */
function lay(canvas: Pixels, tile: Pixels, left: number, top: number, scale: number): void {
  const quarter = (OVERLAP / 4) * scale;
  const fade = (from: number, i: number) =>
    from === 0 ? 1 : Math.min(1, Math.max(0, (i + 0.5 - quarter) / (2 * quarter)));
  const extent = (from: number, side: number, whole: number) =>
    from + side < whole ? side - quarter / 2 : whole - from;
  const width = extent(left, tile.width, canvas.width);
  const height = extent(top, tile.height, canvas.height);
  const across = Float32Array.from({ length: width }, (_, x) => fade(left, x));
  const faded = across.indexOf(1);
  for (let y = 0; y < height; y++) {
    const share = fade(top, y);
    const row = tile.rgb.subarray(y * tile.width * 3, (y * tile.width + width) * 3);
    const at = ((top + y) * canvas.width + left) * 3;
    const mixed = share === 1 ? faded * 3 : row.length;
    for (let i = 0; i < mixed; i++) {
      const before = canvas.rgb[at + i]!;
      const weight = share * across[Math.floor(i / 3)]!;
      canvas.rgb[at + i] = Math.round(before + weight * (row[i]! - before));
    }
    canvas.rgb.set(row.subarray(mixed), at + mixed);
  }
}
