// Decodes BMP files, which sharp does not read: 1, 2, 4, 8, 16, 24 and 32 bits, palettes, RLE4 and RLE8, colour masks with
// and without alpha, rows from the top or from the bottom. Every size in the file is checked before it is used.
import { ImageForgeError } from '../../shared/errors.js';
import { drawRuns } from './bmp-runs.js';

/** The most pixels that are decoded: the whole picture is in memory, 100 MB of RGB. */
const MAX_PIXELS = 2 ** 25;
const FILE_HEADER = 14;
/** Header sizes of OS/2 1, Windows 3, its variants with three and four colour masks, OS/2 2, and Windows 4 and 5. */
const HEADERS = new Set([12, 40, 52, 56, 64, 108, 124]);
const [RGB, RLE8, RLE4, BITFIELDS, JPEG, PNG, ALPHABITFIELDS] = [0, 1, 2, 3, 4, 5, 6];

export interface BmpHeader {
  width: number;
  height: number;
  fromTop: boolean;
  bits: number;
  compression: number;
  /** Offset of the pixels. */
  offset: number;
  /** Masks of red, green, blue and alpha for 16 and 32 bits; 0 without alpha. */
  masks: [number, number, number, number];
  palette: Uint8Array;
}

export function isBmp(bytes: Uint8Array): boolean {
  if (bytes.length < FILE_HEADER + 12 || bytes[0] !== 0x42 || bytes[1] !== 0x4d) return false;
  return HEADERS.has(viewOf(bytes).getUint32(FILE_HEADER, true));
}

/** @throws Error that says what is wrong, and ImageForgeError TOO_LARGE. */
export function readBmpHeader(bytes: Uint8Array): BmpHeader {
  const view = viewOf(bytes);
  const size = view.getUint32(FILE_HEADER, true);
  if (FILE_HEADER + size > bytes.length) throw new Error('the BMP header ends early');
  const old = size === 12;
  const signed = old ? view.getUint16(20, true) : view.getInt32(22, true);
  const width = old ? view.getUint16(18, true) : view.getInt32(18, true);
  const height = Math.abs(signed);
  const bits = view.getUint16(old ? 24 : 28, true);
  const compression = old ? RGB! : view.getUint32(30, true);
  if (width <= 0 || height === 0) throw new Error(`the BMP is ${width} x ${signed} pixels`);
  if (width * height > MAX_PIXELS)
    throw new ImageForgeError(
      'TOO_LARGE',
      `the BMP has ${width} x ${height} pixels, more than the limit of ${MAX_PIXELS}.`,
      { hint: 'Save it as PNG, which may be larger.' },
    );
  requireKind(bits, compression, size, signed < 0);
  const afterHeader = FILE_HEADER + size;
  const extra = size > 40 ? 0 : compression === BITFIELDS ? 12 : compression === ALPHABITFIELDS ? 16 : 0;
  if (afterHeader + extra > bytes.length) throw new Error('the BMP header ends early');
  const offset = view.getUint32(10, true);
  const colours = old ? 0 : view.getUint32(46, true);
  return {
    width,
    height,
    fromTop: signed < 0,
    bits,
    compression,
    offset,
    masks: readMasks(view, bits, compression, size),
    palette: readPalette(
      bytes,
      bits,
      afterHeader + extra,
      Math.min(offset, bytes.length),
      colours,
      old ? 3 : 4,
    ),
  };
}

/** Returns RGB, or RGBA if the file has alpha that is not 0 everywhere. */
export function decodeBmp(bytes: Uint8Array): {
  width: number;
  height: number;
  data: Uint8Array;
  channels: 3 | 4;
} {
  const header = readBmpHeader(bytes);
  const { width, height, bits, compression, masks } = header;
  if (compression === RLE8 || compression === RLE4)
    return { width, height, channels: 3, data: drawRuns(bytes, header) };
  const rowBytes = Math.ceil((width * bits) / 8);
  const stride = Math.ceil(rowBytes / 4) * 4;
  const end = header.offset + stride * (height - 1) + rowBytes;
  if (end > bytes.length) throw new Error(`the BMP ends early: expected ${end} bytes, found ${bytes.length}`);
  const channels = masks[3] === 0 ? 3 : 4;
  const data = new Uint8Array(width * height * channels);
  const drawRow = bits <= 8 ? drawIndexed : bits === 24 ? drawTriples : drawMasked;
  for (let row = 0; row < height; row++) {
    const y = header.fromTop ? row : height - 1 - row;
    drawRow(bytes, header.offset + row * stride, data, y * width * channels, header);
  }
  if (channels === 4 && !hasAlpha(data)) for (let i = 3; i < data.length; i += 4) data[i] = 255;
  return { width, height, channels, data };
}

function requireKind(bits: number, compression: number, size: number, fromTop: boolean): void {
  const kind = `the BMP has ${bits} bits per pixel and compression ${compression}`;
  if (size !== 64 && (compression === JPEG || compression === PNG))
    throw new Error(`${kind}: a ${compression === JPEG ? 'JPEG' : 'PNG'} in a BMP is not read`);
  const allowed: Record<number, number[]> = {
    [RGB!]: [1, 2, 4, 8, 16, 24, 32],
    [RLE8!]: [8],
    [RLE4!]: [4],
    // In OS/2's header, 3 means another compression.
    [BITFIELDS!]: size === 64 ? [] : [16, 32],
    [ALPHABITFIELDS!]: size === 64 ? [] : [16, 32],
  };
  if (!allowed[compression]?.includes(bits)) throw new Error(`${kind}, which is not read`);
  if (fromTop && (compression === RLE8 || compression === RLE4))
    throw new Error('the BMP is compressed and its rows begin at the top, which the format does not allow');
}

function readMasks(view: DataView, bits: number, compression: number, size: number): BmpHeader['masks'] {
  if (compression !== BITFIELDS && compression !== ALPHABITFIELDS)
    return bits === 16 ? [0x7c00, 0x3e0, 0x1f, 0] : [0xff0000, 0xff00, 0xff, 0];
  const at = FILE_HEADER + 40;
  const withAlpha = size >= 56 || compression === ALPHABITFIELDS;
  const masks = [0, 4, 8, 12].map((skip) =>
    skip < 12 || withAlpha ? view.getUint32(at + skip, true) : 0,
  ) as BmpHeader['masks'];
  let seen = 0;
  for (const [i, mask] of masks.entries()) {
    const run = mask >>> shiftOf(mask);
    const broken = (run & (run + 1)) !== 0 || (seen & mask) !== 0 || (bits === 16 && mask > 0xffff);
    if (broken || (mask === 0 && i < 3))
      throw new Error(`the BMP has the colour mask 0x${mask.toString(16)}`);
    seen |= mask;
  }
  return masks;
}

/** Reads blue, green, red entries as RGB, as many as the file has. An index beyond them is black. */
function readPalette(
  bytes: Uint8Array,
  bits: number,
  from: number,
  end: number,
  colours: number,
  entry: number,
): Uint8Array {
  if (bits > 8) return new Uint8Array(0);
  const palette = new Uint8Array(256 * 3);
  const most = 2 ** bits;
  const count = Math.min(colours === 0 ? most : Math.min(colours, most), Math.floor((end - from) / entry));
  if (count < 1) throw new Error('the BMP has no palette');
  for (let i = 0, at = from; i < count; i++, at += entry)
    palette.set([bytes[at + 2]!, bytes[at + 1]!, bytes[at]!], i * 3);
  return palette;
}

type DrawRow = (bytes: Uint8Array, from: number, data: Uint8Array, to: number, header: BmpHeader) => void;

const drawIndexed: DrawRow = (bytes, from, data, to, { width, bits, palette }) => {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  for (let x = 0; x < width; x++) {
    const byte = bytes[from + Math.floor(x / perByte)]!;
    const index = ((byte >>> (8 - bits - (x % perByte) * bits)) & mask) * 3;
    for (let c = 0; c < 3; c++) data[to + x * 3 + c] = palette[index + c]!;
  }
};

const drawTriples: DrawRow = (bytes, from, data, to, { width }) => {
  for (let x = 0; x < width * 3; x += 3)
    for (let c = 0; c < 3; c++) data[to + x + c] = bytes[from + x + 2 - c]!;
};

const drawMasked: DrawRow = (bytes, from, data, to, { width, bits, masks }) => {
  const view = viewOf(bytes);
  const channels = masks[3] === 0 ? 3 : 4;
  const shifts = masks.map(shiftOf);
  const highest = masks.map((mask, c) => mask >>> shifts[c]!);
  for (let x = 0; x < width; x++) {
    const word = bits === 16 ? view.getUint16(from + x * 2, true) : view.getUint32(from + x * 4, true);
    for (let c = 0; c < channels; c++) {
      const value = (word & masks[c]!) >>> shifts[c]!;
      data[to + x * channels + c] = highest[c] === 255 ? value : Math.round((value * 255) / highest[c]!);
    }
  }
};

/** Counts the zero bits below a mask. */
function shiftOf(mask: number): number {
  return mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
}

/** Programs without alpha support write 0 there. */
function hasAlpha(rgba: Uint8Array): boolean {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 0) return true;
  return false;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
