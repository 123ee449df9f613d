// The arithmetic around the networks: schedule tails, masks, pasting, guidance, previews.
import { describe, expect, it } from 'vitest';
import type { Autoencoder, Pixels, Tensor } from '../../../src/native/addon.js';
import { requireFinite, requirePicture } from '../../../src/pipeline/check.js';
import { guide } from '../../../src/pipeline/guidance.js';
import { takeTail } from '../../../src/pipeline/img2img.js';
import { blend, holdOutside, pasteBack, shrinkMask } from '../../../src/pipeline/inpaint.js';
import { LatentColours } from '../../../src/pipeline/preview.js';

describe('takeTail', () => {
  const sigmas = Float32Array.of(8, 7, 6, 5, 4, 3, 2, 1, 0);
  it.each([
    [1, 8],
    [0.6, 4],
    [0.5, 4],
    [0.1, 1],
    [0, 0],
  ])('strength %d runs %i of 8 steps', (strength, steps) => {
    expect(takeTail(sigmas, strength)).toEqual(sigmas.slice(8 - steps));
  });
});

describe('guidance', () => {
  it('moves from the negative prediction through the positive one', () => {
    const [positive, negative] = [Float32Array.of(1, 2), Float32Array.of(0, 4)];
    expect(guide(positive, negative, 3)).toEqual(Float32Array.of(3, -2));
    expect(guide(positive, undefined, 3)).toBe(positive);
  });
});

describe('masks', () => {
  it('take the top left pixel of a cell', () => {
    const mask = new Uint8Array(16 * 16);
    mask[0] = 255;
    mask[8 * 16 + 8] = 51;
    mask[9] = 255;
    expect(Array.from(shrinkMask(mask, 16, 16, 8), (v) => v.toFixed(1))).toEqual([
      '1.0',
      '0.0',
      '0.0',
      '0.2',
    ]);
  });

  it('blend in every channel', () => {
    const mask = Float32Array.of(1, 0, 0.5);
    expect(blend(new Float32Array(6).fill(4), new Float32Array(6), mask)).toEqual(
      Float32Array.of(4, 0, 2, 4, 0, 2),
    );
  });

  it('show the denoiser the noisy picture outside, and hold the picture there', async () => {
    const held = {
      mask: Float32Array.of(1, 0),
      latent: Float32Array.of(7, 7),
      noisy: (sigma: number) => Float32Array.of(sigma, sigma),
    };
    let seen: Float32Array | undefined;
    const denoise = holdOutside(async (x) => {
      seen = x;
      return Float32Array.of(3, 3);
    }, held);
    expect(await denoise(Float32Array.of(1, 1), 5)).toEqual(Float32Array.of(3, 7));
    expect(seen).toEqual(Float32Array.of(1, 5));
  });

  it('paste the result softly, without touching a pixel outside', () => {
    const filled = (value: number): Pixels => ({
      rgb: new Uint8Array(20 * 9 * 3).fill(value),
      width: 20,
      height: 9,
    });
    const mask = Uint8Array.from({ length: 20 * 9 }, (_, i) => (i % 20 >= 10 ? 255 : 0));
    const { rgb } = pasteBack(filled(200), filled(100), mask);
    const row = (y: number) => Array.from({ length: 20 }, (_, x) => rgb[(y * 20 + x) * 3]);
    const expected = [...Array(10).fill(100), 125, 150, 175, ...Array(7).fill(200)];
    for (let y = 0; y < 9; y++) expect(row(y)).toEqual(expected);
  });

  it('replace everything where everything is masked', () => {
    const filled = (value: number): Pixels => ({
      rgb: new Uint8Array(8 * 8 * 3).fill(value),
      width: 8,
      height: 8,
    });
    expect(pasteBack(filled(9), filled(1), new Uint8Array(64).fill(255))).toEqual(filled(9));
  });
});

describe('what is not a picture', () => {
  it('is NaN, infinity, or one colour', () => {
    const bad = expect.objectContaining({ code: 'BAD_IMAGE', hint: expect.stringContaining('guidance') });
    expect(() => requireFinite(Float32Array.of(0, Number.NaN), 3)).toThrow(bad);
    expect(() => requireFinite(Float32Array.of(Number.NEGATIVE_INFINITY), 3)).toThrow(bad);
    requireFinite(Float32Array.of(1e30, -1), 3);
    const rgb = new Uint8Array(30).fill(9);
    expect(() => requirePicture({ rgb, width: 10, height: 1 })).toThrow(bad);
    rgb[29] = 10;
    requirePicture({ rgb, width: 10, height: 1 });
  });
});

describe('previews', () => {
  /** A linear autoencoder: latents are the cells' mean colours, mixed and shifted; the fourth channel is unused. */
  const encode = async (image: Pixels | Tensor) => {
    const { rgb, width, height } = image as Pixels;
    const [rows, columns] = [height / 8, width / 8];
    const data = new Float32Array(4 * rows * columns);
    for (let i = 0; i < width * height; i++) {
      const cell = Math.floor(Math.floor(i / width) / 8) * columns + Math.floor((i % width) / 8);
      const [r, g, b] = [0, 1, 2].map((c) => rgb[i * 3 + c]! / 64 / 255);
      data[cell]! += r! - b! + 1 / 64;
      data[rows * columns + cell]! += 2 * g!;
      data[2 * rows * columns + cell]! += r! + g! + b!;
    }
    return { mean: { data, shape: [4, rows, columns] } };
  };
  const decode = async ({ data, shape }: Tensor): Promise<Pixels> => {
    const [, rows, columns] = shape as [number, number, number];
    const [width, height] = [columns * 8, rows * 8];
    const cells = rows * columns;
    const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const pixel = Math.floor(i / 3);
      const cell = Math.floor(Math.floor(pixel / width) / 8) * columns + Math.floor((pixel % width) / 8);
      const [x, y, z] = [0, 1, 2].map((c) => data[c * cells + cell]!) as [number, number, number];
      const [green, sum, difference] = [y / 2, z - y / 2, x - 1];
      return Math.round(255 * [(sum + difference) / 2, green, (sum - difference) / 2][i % 3]!);
    });
    return { rgb, width, height };
  };
  const autoencoder = { encode, decode } as Partial<Autoencoder> as Autoencoder;
  const colours = [250, 10, 60, 20, 130, 240] as const;
  const picture = { rgb: new Uint8Array(16 * 8 * 3), width: 16, height: 8 };
  for (let i = 0; i < 128; i++) picture.rgb.set(colours.slice(i % 16 < 8 ? 0 : 3).slice(0, 3), i * 3);

  function expectColours({ rgb, width, height }: Pixels): void {
    expect([width, height]).toEqual([8, 4]);
    const ends = [...rgb.subarray(0, 3), ...rgb.subarray(7 * 3, 8 * 3)];
    for (const [i, value] of ends.entries()) expect(Math.abs(value - colours[i]!)).toBeLessThan(4);
  }

  it('find the colours of an autoencoder, even with an unused channel', async () => {
    const { mean } = await encode(picture);
    const fitted = await LatentColours.fit(autoencoder, 4, 8);
    expectColours(fitted.render(mean.data, 1, 2));
  });

  it('learn from pictures if the colour chart was no help', async () => {
    const { mean } = await encode(picture);
    const other = {
      encode,
      decode: async () => ({ rgb: new Uint8Array(128 * 128 * 3), width: 128, height: 128 }),
    };
    const fitted = await LatentColours.fit(other as Partial<Autoencoder> as Autoencoder, 4, 8);
    fitted.learn(mean.data, picture, 1e5);
    expectColours(fitted.render(mean.data, 1, 2));
  });
});
