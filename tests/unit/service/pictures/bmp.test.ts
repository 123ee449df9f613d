// BMP files of every supported kind, written here byte by byte, and files that are refused.
import { describe, expect, it } from 'vitest';
import { decodeBmp, isBmp } from '../../../../src/service/pictures/bmp.js';
import { decodeMask, decodePicture, measurePicture } from '../../../../src/service/pictures/codec.js';

interface Kind {
  width: number;
  height: number;
  bits: number;
  compression?: number;
  headerSize?: number;
  /** After the header: colour masks, then the palette as blue, green, red, 0. */
  masks?: number[];
  palette?: number[];
  colours?: number;
  pixels: number[];
}

function writeBmp(kind: Kind): Buffer {
  const { width, height, bits, compression = 0, headerSize = 40, masks = [], palette = [], pixels } = kind;
  const header = Buffer.alloc(14 + headerSize);
  header.write('BM');
  header.writeUInt32LE(headerSize, 14);
  if (headerSize === 12) {
    for (const [i, value] of [width, height, 1, bits].entries()) header.writeUInt16LE(value, 18 + i * 2);
  } else {
    header.writeInt32LE(width, 18);
    header.writeInt32LE(height, 22);
    header.writeUInt16LE(1, 26);
    header.writeUInt16LE(bits, 28);
    header.writeUInt32LE(compression, 30);
    header.writeUInt32LE(kind.colours ?? 0, 46);
  }
  const words = Buffer.alloc(masks.length * 4);
  for (const [i, mask] of masks.entries()) words.writeUInt32LE(mask, i * 4);
  if (headerSize > 40) words.copy(header, 54);
  const parts = [
    header,
    headerSize > 40 ? Buffer.alloc(0) : words,
    Buffer.from(palette),
    Buffer.from(pixels),
  ];
  const file = Buffer.concat(parts);
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(file.length - pixels.length, 10);
  return file;
}

const RED = [255, 0, 0];
const BLUE = [0, 0, 255];
const GREEN = [0, 255, 0];
const BLACK = [0, 0, 0];
/** Red, blue, green. */
const PALETTE = [0, 0, 255, 0, 255, 0, 0, 0, 0, 255, 0, 0];

describe('decodeBmp', () => {
  // all of them: red blue / green black, from the top
  const plain = [...RED, ...BLUE, ...GREEN, ...BLACK];
  const palette = [...PALETTE, 0, 0, 0, 0];
  const size = { width: 2, height: 2 };
  it.each<[string, Kind]>([
    ['24 bits', { ...size, bits: 24, pixels: [0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0] }],
    [
      '24 bits from the top',
      { width: 2, height: -2, bits: 24, pixels: [0, 0, 255, 255, 0, 0, 9, 9, 0, 255, 0, 0, 0, 0] },
    ],
    ['32 bits', { ...size, bits: 32, pixels: [0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 255, 7, 255, 0, 0, 9] }],
    ['8 bits', { ...size, bits: 8, palette, colours: 4, pixels: [2, 3, 0, 0, 0, 1, 0, 0] }],
    [
      '8 bits, black beyond the palette',
      { ...size, bits: 8, palette: PALETTE, colours: 3, pixels: [2, 200, 0, 0, 0, 1, 0, 0] },
    ],
    ['4 bits', { ...size, bits: 4, palette, colours: 4, pixels: [0x23, 0, 0, 0, 0x01, 0, 0, 0] }],
    ['2 bits', { ...size, bits: 2, palette, pixels: [0xb0, 0, 0, 0, 0x10, 0, 0, 0] }],
    ['16 bits, 5 each', { ...size, bits: 16, pixels: [0xe0, 0x03, 0, 0, 0x00, 0x7c, 0x1f, 0] }],
    [
      '16 bits, 5, 6 and 5',
      {
        ...size,
        bits: 16,
        compression: 3,
        masks: [0xf800, 0x7e0, 0x1f],
        pixels: [0xe0, 0x07, 0, 0, 0x00, 0xf8, 0x1f, 0],
      },
    ],
    [
      '32 bits with masks',
      {
        ...size,
        bits: 32,
        compression: 3,
        masks: [0xff, 0xff00, 0xff0000],
        pixels: [0, 255, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 255, 0],
      },
    ],
    [
      'RLE8',
      { ...size, bits: 8, compression: 1, palette, colours: 4, pixels: [1, 2, 1, 3, 0, 0, 1, 0, 1, 1, 0, 1] },
    ],
    [
      'RLE8 with a step',
      {
        ...size,
        bits: 8,
        compression: 1,
        palette,
        colours: 4,
        pixels: [1, 2, 1, 3, 0, 0, 0, 2, 1, 0, 1, 1, 0, 0, 0, 1],
      },
    ],
    [
      'RLE4',
      { ...size, bits: 4, compression: 2, palette, colours: 4, pixels: [2, 0x23, 0, 0, 2, 0x01, 0, 1] },
    ],
    [
      'RLE4 without an end',
      { ...size, bits: 4, compression: 2, palette, colours: 4, pixels: [4, 0x23, 0, 0, 2, 0x01] },
    ],
    [
      'OS/2',
      {
        ...size,
        bits: 8,
        headerSize: 12,
        palette: [0, 0, 255, 255, 0, 0, 0, 255, 0, 0, 0, 0],
        pixels: [2, 3, 0, 0, 0, 1, 0, 0],
      },
    ],
    [
      'a header of 124 bytes',
      { ...size, bits: 24, headerSize: 124, pixels: [0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0] },
    ],
  ])('reads %s', (_, kind) => {
    const file = writeBmp(kind);
    expect(isBmp(file)).toBe(true);
    const { data, ...rest } = decodeBmp(file);
    expect([...data]).toEqual(plain);
    expect(rest).toEqual({ ...size, channels: 3 });
  });

  it('reads 1 bit, and rows of odd lengths', () => {
    const file = writeBmp({
      width: 9,
      height: 1,
      bits: 1,
      palette: [0, 0, 0, 0, 255, 255, 255, 0],
      pixels: [0xa5, 0x80, 0, 0],
    });
    expect([...decodeBmp(file).data].filter((_, i) => i % 3 === 0)).toEqual([
      255, 0, 255, 0, 0, 255, 0, 255, 255,
    ]);
  });

  it('reads literal runs, padded to words', () => {
    const wide = { width: 5, height: 1, bits: 8, compression: 1, palette: PALETTE, colours: 3 };
    const { data } = decodeBmp(writeBmp({ ...wide, pixels: [0, 3, 0, 1, 2, 99, 2, 1, 0, 0, 0, 1] }));
    expect([...data]).toEqual([RED, BLUE, GREEN, BLUE, BLUE].flat());
  });

  it('keeps its alpha, unless all of it is 0', () => {
    const masks = [0xff0000, 0xff00, 0xff, 0xff000000];
    const kind = { width: 2, height: 1, bits: 32, compression: 3, headerSize: 124, masks };
    const { data, channels } = decodeBmp(writeBmp({ ...kind, pixels: [0, 0, 255, 128, 255, 0, 0, 255] }));
    expect([channels, ...data]).toEqual([4, ...RED, 128, ...BLUE, 255]);
    const empty = decodeBmp(writeBmp({ ...kind, pixels: [0, 0, 255, 0, 255, 0, 0, 0] }));
    expect([...empty.data]).toEqual([...RED, 255, ...BLUE, 255]);
  });

  const small = { width: 1, height: 1, bits: 24, pixels: [0, 0, 0, 0] };
  it.each<[string, Kind, RegExp]>([
    ['a size of 0', { ...small, width: 0 }, /0 x 1 pixels/],
    ['a negative width', { ...small, width: -5 }, /-5 x 1/],
    [
      'too many pixels',
      { ...small, width: 2 ** 31 - 1, height: -(2 ** 31) },
      /more than the limit of 33554432/,
    ],
    ['missing rows', { ...small, width: 100, height: 100 }, /ends early: expected \d+ bytes/],
    ['unknown bits', { ...small, bits: 7 }, /7 bits per pixel/],
    ['a JPEG inside', { ...small, bits: 0, compression: 4 }, /a JPEG in a BMP is not read/],
    [
      'masks with holes',
      { ...small, bits: 32, compression: 3, masks: [0xf0f, 0xf0, 0xf000] },
      /colour mask 0xf0f/,
    ],
    [
      'masks that overlap',
      { ...small, bits: 32, compression: 3, masks: [0xff, 0xff, 0xff00] },
      /colour mask/,
    ],
    ['no palette', { ...small, bits: 8 }, /no palette/],
    [
      'runs that end early',
      { ...small, bits: 8, compression: 1, palette: PALETTE, pixels: [0, 9, 1] },
      /ends in the middle/,
    ],
    [
      'runs below the last row',
      { ...small, bits: 8, compression: 1, palette: PALETTE, pixels: [0, 2, 0, 9, 1, 1] },
      /beyond its last row/,
    ],
    [
      'RLE from the top',
      { ...small, height: -1, bits: 8, compression: 1, palette: PALETTE },
      /does not allow/,
    ],
  ])('refuses %s', async (_, kind, message) => {
    const file = writeBmp(kind);
    expect(() => decodeBmp(file)).toThrow(message);
    const error = await decodePicture(file, { width: 8, height: 8 }, 'init_image').catch((thrown) => thrown);
    expect(error.message).toMatch(/^init_image: /);
    expect(['INVALID_ARGUMENT', 'TOO_LARGE']).toContain(error.code);
  });

  it('never throws another error, wherever a byte is wrong or the file ends', () => {
    const files = [
      writeBmp({ ...small, width: 3, height: 3, pixels: Array(36).fill(200) }),
      writeBmp({
        width: 4,
        height: 2,
        bits: 8,
        compression: 1,
        palette: PALETTE,
        colours: 3,
        pixels: [4, 1, 0, 0, 0, 3, 0, 1, 2, 0, 0, 1],
      }),
      writeBmp({
        ...small,
        bits: 32,
        compression: 3,
        headerSize: 124,
        masks: [0xff, 0xff00, 0xff0000, 0xff000000],
      }),
    ];
    for (const file of files) {
      const attempt = (bytes: Buffer) => {
        try {
          if (isBmp(bytes)) decodeBmp(bytes);
        } catch (error) {
          expect((error as Error).message).toContain('BMP');
        }
      };
      for (let at = 0; at < file.length; at++) {
        attempt(file.subarray(0, at));
        for (const value of [0, 1, 3, 127, 255])
          attempt(Buffer.concat([file.subarray(0, at), Buffer.of(value), file.subarray(at + 1)]));
      }
    }
  });

  it('is a picture like any other', async () => {
    const file = writeBmp({ width: 2, height: 1, bits: 24, pixels: [0, 0, 255, 255, 0, 0, 0, 0] });
    expect(await measurePicture(file, 'init_image')).toEqual({ width: 2, height: 1 });
    const { rgb } = await decodePicture(file, { width: 2, height: 1 }, 'init_image');
    expect([...rgb]).toEqual([...RED, ...BLUE]);
    const mask = writeBmp({
      width: 2,
      height: 1,
      bits: 1,
      palette: [0, 0, 0, 0, 255, 255, 255, 0],
      pixels: [0x40, 0, 0, 0],
    });
    expect([...(await decodeMask(mask, { width: 2, height: 1 }, 'mask_image')).mask]).toEqual([0, 255]);
  });
});
