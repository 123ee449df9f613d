// Tiles cover a picture evenly. A decoder that doesn't mix neighbours gives the same picture whole and in tiles.
import { describe, expect, it } from 'vitest';
import type { Autoencoder, Tensor } from '../../../src/native/addon.js';
import { decodeLatent, decodeTiles, placeTiles } from '../../../src/pipeline/tiling.js';

const tiles = { side: 8, overlap: 2 };

/** Each latent cell becomes 2 x 2 pixels of its values; larger latents than `limit` are refused. */
function createDecoder(limit: number): { decoder: Autoencoder; sizes: number[] } {
  const sizes: number[] = [];
  const decode = async ({ data, shape }: Tensor) => {
    const [, rows, columns] = shape as [number, number, number];
    sizes.push(rows * columns);
    if (rows * columns > limit) throw Object.assign(new Error('too large'), { code: 'OUT_OF_MEMORY' });
    const [width, height] = [columns * 2, rows * 2];
    const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      const cell = Math.floor(Math.floor(pixel / width) / 2) * columns + Math.floor((pixel % width) / 2);
      return data[(i % 3) * rows * columns + cell]!;
    });
    return { rgb, width, height };
  };
  return { decoder: { decode } as Partial<Autoencoder> as Autoencoder, sizes };
}

const shape = [3, 13, 29];
const latent = { data: Float32Array.from({ length: 3 * 13 * 29 }, (_, i) => (i * 7) % 256), shape };

describe('tiling', () => {
  it.each([5, 8, 9, 14, 15, 29, 100])('covers %i cells with overlap', (length) => {
    const starts = placeTiles(length, tiles);
    expect(starts[0]).toBe(0);
    if (length > tiles.side) expect(starts.at(-1)).toBe(length - tiles.side);
    for (let i = 1; i < starts.length; i++)
      expect(starts[i]! - starts[i - 1]!).toBeLessThanOrEqual(tiles.side - tiles.overlap);
  });

  it('is used only if decoding whole is refused, and gives the same picture', async () => {
    const whole = createDecoder(10_000);
    const expected = await decodeLatent(whole.decoder, latent, undefined, tiles);
    expect(whole.sizes).toEqual([13 * 29]);

    const small = createDecoder(64);
    expect(await decodeLatent(small.decoder, latent, undefined, tiles)).toEqual(expected);
    expect(small.sizes).toEqual([13 * 29, ...Array(2 * 5).fill(64)]);
    expect(await decodeTiles(small.decoder, latent, undefined, tiles)).toEqual(expected);
  });

  it('passes the error on if even a small latent does not fit', async () => {
    const { decoder } = createDecoder(0);
    const tiny = { data: new Float32Array(3 * 16), shape: [3, 4, 4] };
    await expect(decodeLatent(decoder, tiny, undefined, tiles)).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
    });
  });
});
