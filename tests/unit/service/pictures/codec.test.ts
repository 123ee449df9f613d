import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import {
  changeMask,
  decodeMask,
  decodePicture,
  decodeReference,
  encodePng,
  makePreview,
  measurePicture,
} from '../../../../src/service/pictures/codec.js';
import { fitReference } from '../../../../src/service/pictures/size.js';
import { readSource } from '../../../../src/service/pictures/source.js';
import { fitSize } from '../../../../src/service/request/sizes.js';

const noise = (width: number, height: number) =>
  Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 2654435761) >>> 24);
const size = { width: 4, height: 4 };

function make(channels: 1 | 3 | 4, value: number[], side = 4) {
  const data = Uint8Array.from({ length: side * side * channels }, (_, i) => value[i % channels]!);
  return sharp(data, { raw: { width: side, height: side, channels } });
}

const halfPicture = (await make(3, [1, 2, 3], 64).png({ compressionLevel: 0 }).toBuffer()).subarray(0, 2000);

describe('decodePicture', () => {
  it('returns the pixels that encodePng encoded', async () => {
    const pixels = { rgb: noise(16, 8), width: 16, height: 8 };
    const decoded = await decodePicture(await encodePng(pixels), pixels, 'init_image');
    expect(Buffer.from(decoded.rgb)).toEqual(Buffer.from(pixels.rgb));
  });

  it.each([
    ['grey', make(1, [9]), [9, 9, 9]],
    ['colour', make(3, [1, 2, 3]), [1, 2, 3]],
    ['transparent', make(4, [10, 20, 30, 0]), [255, 255, 255]],
  ])('turns a %s picture into RGB of the wanted size', async (_, picture, expected) => {
    const { rgb } = await decodePicture(
      await picture.png().toBuffer(),
      { width: 8, height: 2 },
      'init_image',
    );
    expect([...rgb]).toEqual(Array.from({ length: 16 }, () => expected).flat());
  });

  it("applies the camera's orientation", async () => {
    const file = await make(3, [5, 5, 5]).resize(8, 4).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    expect(await measurePicture(file, 'init_image')).toEqual({ width: 4, height: 8 });
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('not a picture')],
    ['half a picture', halfPicture],
  ])('refuses %s in one line', async (_, bytes) => {
    const error = await decodePicture(bytes, size, 'init_image').catch((thrown) => thrown);
    expect(error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/^init_image: not a picture.*$/),
    });
  });

  it('refuses a picture that unpacks to too many pixels', async () => {
    const bomb = await sharp({
      create: { width: 10_000, height: 10_000, channels: 3, background: 'red' },
      limitInputPixels: false,
    })
      .png()
      .toBuffer();
    await expect(decodePicture(bomb, size, 'init_image')).rejects.toMatchObject({
      code: 'TOO_LARGE',
      status: 413,
    });
  });
});

describe('decodeMask', () => {
  it('returns one byte per pixel, and white is repainted', async () => {
    const half = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => (i % 24 < 12 ? 255 : 0));
    const file = await encodePng({ rgb: half, width: 8, height: 8 });
    const { mask, notes } = await decodeMask(file, { width: 8, height: 8 }, 'mask_image');
    expect([...mask.subarray(0, 8)]).toEqual([255, 255, 255, 255, 0, 0, 0, 0]);
    expect(mask).toHaveLength(64);
    expect(notes).toEqual([]);
  });
});

describe('a mask with alpha', () => {
  const size = { width: 8, height: 8 };
  /** The left half is opaque and the right half is not, while the colours say the opposite. */
  const left = (channels: 2 | 4, alpha = [255, 0]) => {
    const data = Buffer.from(
      Array.from({ length: 64 }, (_, i) => [
        ...Array(channels - 1).fill(i % 8 < 4 ? 0 : 255),
        i % 8 < 4 ? alpha[0]! : alpha[1]!,
      ]).flat(),
    );
    return sharp(data, { raw: { ...size, channels } });
  };
  const row = async (file: Buffer) => {
    const { mask, notes } = await decodeMask(file, size, 'mask_image');
    return { row: [...mask.subarray(0, 8)], notes: notes.length };
  };

  it('is read from its alpha: opaque is repainted', async () => {
    const expected = { row: [255, 255, 255, 255, 0, 0, 0, 0], notes: 1 };
    expect(await row(await left(4).png().toBuffer())).toEqual(expected);
    expect(await row(await left(2).png().toBuffer())).toEqual(expected);
    expect(await row(await left(4).webp({ lossless: true }).toBuffer())).toEqual(expected);
    const deep = await left(4).toColourspace('rgb16').png().toBuffer();
    expect((await sharp(deep).metadata()).depth).toBe('ushort');
    expect(await row(deep)).toEqual(expected);
    expect((await row(await left(4, [200, 64]).png().toBuffer())).row).toEqual([
      200, 200, 200, 200, 64, 64, 64, 64,
    ]);
  });

  it('is read from its brightness if the alpha is uniform', async () => {
    const expected = { row: [0, 0, 0, 0, 255, 255, 255, 255], notes: 0 };
    expect(await row(await left(4, [255, 255]).png().toBuffer())).toEqual(expected);
    expect(await row(await left(4, [0, 0]).png().toBuffer())).toEqual(expected);
  });

  it('keeps its alpha meaning when inverted', async () => {
    const turned = await changeMask(await left(4).png().toBuffer(), (mask) => mask.negate());
    expect(await row(turned)).toEqual({ row: [0, 0, 0, 0, 255, 255, 255, 255], notes: 1 });
    const grey = await changeMask(await left(4, [255, 255]).png().toBuffer(), (mask) => mask.negate());
    expect(await row(grey)).toEqual({ row: [255, 255, 255, 255, 0, 0, 0, 0], notes: 0 });
  });
});

describe('makePreview', () => {
  it('keeps to its bounds, whatever the picture', async () => {
    const pixels = { rgb: noise(1500, 900), width: 1500, height: 900 };
    const { data, width, height } = await makePreview(pixels, { side: 768, bytes: 100_000 });
    expect(Math.max(width, height)).toBeLessThanOrEqual(768);
    expect(data.length).toBeLessThanOrEqual(100_000);
    expect(await sharp(data).metadata()).toMatchObject({ format: 'jpeg', width, height });
  });
});

describe('readSource', () => {
  it('names a missing file', async () => {
    await expect(readSource({ path: '/no/such.png' }, 'init_image')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'init_image: cannot read /no/such.png: there is no such file.',
    });
  });
});

describe('decodeReference', () => {
  it('crops around the centre, and keeps every pixel', async () => {
    const [width, height] = [37, 21];
    const rgb = noise(width, height);
    const rule = { most: 10, area: 2 ** 20 };
    const reference = await decodeReference(await encodePng({ rgb, width, height }), rule, 'reference 1');
    const rows = Array.from({ length: 16 }, (_, y) => {
      const begin = ((y + 2) * width + 2) * 3;
      return [...rgb.subarray(begin, begin + 32 * 3)];
    });
    expect([reference.width, reference.height]).toEqual([32, 16]);
    expect([...reference.rgb]).toEqual(rows.flat());
  });

  it('scales before it crops', async () => {
    const file = await make(3, [1, 2, 3], 100).png().toBuffer();
    const reference = await decodeReference(file, { most: 10, area: 40 * 40 }, 'reference 1');
    expect([reference.width, reference.height, reference.rgb.length]).toEqual([32, 32, 32 * 32 * 3]);
    expect([...reference.rgb.subarray(-3)]).toEqual([1, 2, 3]);
  });
});

describe('fitSize', () => {
  const sizeFor = (source: [number, number], asked = {}, side = 512) =>
    Object.values(
      fitSize(
        { width: source[0], height: source[1] },
        asked,
        { width: side, height: side },
        { maxSide: 1024, multiple: 8 },
      ),
    );

  it('keeps what fits, shrinks what is too large, keeps proportions', () => {
    expect(sizeFor([512, 256])).toEqual([512, 256]);
    expect(sizeFor([1024, 1024])).toEqual([512, 512]);
    expect(sizeFor([4000, 1000])).toEqual([1024, 256]);
    expect(sizeFor([501, 333])).toEqual([504, 336]);
    expect(sizeFor([10, 10])).toEqual([64, 64]);
    expect(sizeFor([10_000, 10])).toEqual([1024, 64]);
  });

  it('follows given sides', () => {
    expect(sizeFor([500, 300], { width: 128, height: 640 })).toEqual([128, 640]);
    expect(sizeFor([400, 200], { width: 256 })).toEqual([256, 128]);
    expect(sizeFor([400, 200], { height: 128 })).toEqual([256, 128]);
  });
});

describe('fitReference', () => {
  it('scales large pictures down to the area and crops them to whole image tokens', () => {
    const fitted = (width: number, height: number) => {
      const { scaled, ...size } = fitReference({ width, height }, { most: 10, area: 2 ** 20 });
      return [Object.values(scaled), Object.values(size)];
    };
    expect(fitted(50, 40)).toEqual([
      [50, 40],
      [48, 32],
    ]);
    expect(fitted(4000, 1000)).toEqual([
      [2048, 512],
      [2048, 512],
    ]);
    expect(fitted(1290, 891)).toEqual([
      [1232, 851],
      [1232, 848],
    ]);
    expect(fitted(5, 100)).toEqual([
      [16, 100],
      [16, 96],
    ]);
  });

  it('takes the nearest of the sizes that the model knows', () => {
    const sizes = [
      [672, 1568],
      [1024, 1024],
      [1568, 672],
    ] as const;
    const sizeOf = (width: number, height: number) =>
      fitReference({ width, height }, { most: 1, area: 2 ** 20, sizes });
    const stretched = (width: number, height: number) => ({ width, height, scaled: { width, height } });
    expect(sizeOf(300, 290)).toEqual(stretched(1024, 1024));
    expect(sizeOf(100, 300)).toEqual(stretched(672, 1568));
    expect(sizeOf(9000, 3000)).toEqual(stretched(1568, 672));
  });
});
