// Decodes a client's pictures to RGB of the wanted size, and encodes pixels as PNG. Sharp is loaded with the first
// picture, not with the program.
import type { Sharp } from 'sharp';
import type { ReferenceRule } from '../../families/types.js';
import type { Pixels } from '../../native/addon.js';
import { ImageForgeError } from '../../shared/errors.js';
import { decodeBmp, isBmp, readBmpHeader } from './bmp.js';
import { fitReference, type Size } from './size.js';

/** Decoded pixels of a source, before it is resized. */
const MAX_PIXELS = 2 ** 26;

/** Width and height as shown, with the camera's orientation applied. */
export async function measurePicture(bytes: Uint8Array, name: string): Promise<Size> {
  return guard(name, async () => {
    if (isBmp(bytes)) {
      const { width, height } = readBmpHeader(bytes);
      return { width, height };
    }
    const { autoOrient } = await (await openPicture(bytes)).metadata();
    return { width: autoOrient.width, height: autoOrient.height };
  });
}

/**
 * Decodes to RGB at exactly this size. Other aspect ratios are stretched, and transparency becomes white. Where the
 * picture is to be cropped, `scaled` is the larger size that it is scaled to before its middle is cut out.
 */
export async function decodePicture(
  bytes: Uint8Array,
  { width, height }: Size,
  name: string,
  scaled: Size = { width, height },
): Promise<Pixels> {
  const left = Math.floor((scaled.width - width) / 2);
  const top = Math.floor((scaled.height - height) / 2);
  const middle = { left, top, width, height };
  const data = await guard(name, async () =>
    (await openPicture(bytes))
      .autoOrient()
      .resize(scaled.width, scaled.height, { fit: 'fill' })
      .extract(middle)
      .toColourspace('srgb')
      .flatten({ background: 'white' })
      .raw()
      .toBuffer(),
  );
  return { rgb: spreadToRgb(data, width * height), width, height };
}

/** Decodes a reference picture at the size that the model sees. `name` is the request's field, for messages. */
export async function decodeReference(bytes: Uint8Array, rule: ReferenceRule, name: string): Promise<Pixels> {
  const fit = fitReference(await measurePicture(bytes, name), rule);
  return decodePicture(bytes, fit, name, fit.scaled);
}

export interface DecodedMask {
  /** One byte a pixel, 255 = repaint. */
  mask: Uint8Array;
  /** Tells people what was used as the mask, unless it was brightness. */
  notes: string[];
}

const ALPHA_NOTE =
  'The mask has transparency: its opaque part is repainted, its transparent part is kept, and its colours are not looked at.';

/**
 * A mask is the picture's alpha where that varies, as editors export a selection or a layer; otherwise it is the
 * picture's brightness. Opaque and white are repainted.
 */
export async function decodeMask(
  bytes: Uint8Array,
  { width, height }: Size,
  name: string,
): Promise<DecodedMask> {
  const fill = { fit: 'fill', kernel: 'linear' } as const;
  return guard(name, async () => {
    const picture = (await openPicture(bytes)).autoOrient();
    if (await variesInAlpha(picture)) {
      const alpha = picture.resize(width, height, fill).extractChannel('alpha').toColourspace('b-w');
      const data = await alpha.raw().toBuffer();
      return { mask: new Uint8Array(data.buffer, data.byteOffset, data.byteLength), notes: [ALPHA_NOTE] };
    }
    const colours = picture.removeAlpha().toColourspace('srgb').resize(width, height, fill);
    return { mask: measureBrightness(await colours.raw().toBuffer(), width * height), notes: [] };
  });
}

/** Applies `change` to a mask's one channel and encodes it as PNG. An alpha mask stays one, so that `decodeMask` notes it. */
export async function changeMask(bytes: Uint8Array, change: (mask: Sharp) => Sharp): Promise<Buffer> {
  const picture = (await openPicture(bytes)).autoOrient();
  if (!(await variesInAlpha(picture))) return change(picture.removeAlpha().greyscale()).png().toBuffer();
  const alpha = picture.extractChannel('alpha').toColourspace('b-w');
  const { data, info } = await alpha.raw().toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const open = await loadSharp();
  const changed = change(open(data, { raw: { width, height, channels: 1 } })).toColourspace('b-w');
  return open(Buffer.alloc(width * height * 3, 255), { raw: { width, height, channels: 3 } })
    .joinChannel(await changed.raw().toBuffer(), { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer();
}

/** Whether alpha differs from pixel to pixel. */
export async function variesInAlpha(picture: Sharp): Promise<boolean> {
  if (!(await picture.metadata()).hasAlpha) return false;
  const { channels } = await picture.stats();
  const { min, max } = channels.at(-1)!;
  return min < max;
}

function measureBrightness(data: Buffer, pixels: number): Uint8Array {
  const rgb = spreadToRgb(data, pixels);
  const mask = new Uint8Array(pixels);
  // ITU-R 601 luma, as image libraries turn colour into grey
  for (let i = 0, at = 0; i < mask.length; i++, at += 3)
    mask[i] = Math.round(0.299 * rgb[at]! + 0.587 * rgb[at + 1]! + 0.114 * rgb[at + 2]!);
  return mask;
}

/** Loads sharp now. Servers do so before they listen, since loading blocks the event loop for a while. */
export async function preparePictures(): Promise<void> {
  await loadSharp();
}

export async function encodePng({ rgb, width, height }: Pixels): Promise<Buffer> {
  const sharp = await loadSharp();
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Resizes a picture, unless it has that size already. */
export async function resizePicture(picture: Pixels, { width, height }: Size): Promise<Pixels> {
  if (picture.width === width && picture.height === height) return picture;
  const sharp = await loadSharp();
  const raw = { width: picture.width, height: picture.height, channels: 3 } as const;
  const data = await sharp(picture.rgb, { raw }).resize(width, height, { fit: 'fill' }).raw().toBuffer();
  return { rgb: spreadToRgb(data, width * height), width, height };
}

/** Resizes an encoded picture to a PNG of this size. Other aspect ratios are cropped around the middle. */
export async function resizeEncoded(
  bytes: Uint8Array,
  { width, height }: Size,
  kernel: 'lanczos3' | 'nearest' = 'lanczos3',
): Promise<Buffer> {
  if (width * height > MAX_PIXELS)
    throw new ImageForgeError('TOO_LARGE', `the picture would have more than ${MAX_PIXELS} pixels.`);
  return guard('image', async () =>
    (await openPicture(bytes)).autoOrient().resize(width, height, { fit: 'cover', kernel }).png().toBuffer(),
  );
}

/** Makes a JPEG for a chat or an event, of at most `side` pixels a side and `bytes` bytes. */
export async function makePreview(
  image: Uint8Array | Pixels,
  { side, bytes }: { side: number; bytes: number },
): Promise<{ data: Buffer; mime: 'image/jpeg'; width: number; height: number }> {
  const sharp = await loadSharp();
  const open = () =>
    image instanceof Uint8Array
      ? sharp(image)
      : sharp(image.rgb, { raw: { width: image.width, height: image.height, channels: 3 } });
  for (let bound = side; ; bound = Math.floor(bound * 0.75)) {
    for (const quality of [90, 80, 65]) {
      const { data, info } = await open()
        .resize(bound, bound, { fit: 'inside', withoutEnlargement: true })
        .jpeg({ quality })
        .toBuffer({ resolveWithObject: true });
      if (data.length <= bytes || bound < 32)
        return { data, mime: 'image/jpeg', width: info.width, height: info.height };
    }
  }
}

async function loadSharp(): Promise<typeof import('sharp')['default']> {
  return (await import('sharp')).default;
}

/** Opens an encoded picture; every read starts here. */
export async function openPicture(bytes: Uint8Array): Promise<Sharp> {
  if (isBmp(bytes)) {
    const { data, ...raw } = decodeBmp(bytes);
    return (await loadSharp())(data, { raw });
  }
  return (await loadSharp())(bytes, { limitInputPixels: MAX_PIXELS, failOn: 'error' });
}

/** Turns any failure to read a client's picture into one line for the client. */
async function guard<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof ImageForgeError)
      throw new ImageForgeError(error.code, `${name}: ${message}`, {
        ...(error.hint !== undefined && { hint: error.hint }),
        details: { field: name },
      });
    if (/pixel limit/i.test(message)) {
      throw new ImageForgeError('TOO_LARGE', `${name}: the picture has more than ${MAX_PIXELS} pixels.`, {
        cause: error,
      });
    }
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `${name}: not a picture that can be read: ${message.split('\n')[0]}.`,
      {
        hint: 'PNG, JPEG, WebP, GIF, AVIF, TIFF and BMP are read.',
        details: { field: name },
        cause: error,
      },
    );
  }
}

/** Grey pictures have one channel, even after the conversion to sRGB. */
function spreadToRgb(data: Buffer, pixels: number): Uint8Array {
  if (data.length === pixels * 3) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0, at = 0; i < pixels; i++, at += 3) rgb[at] = rgb[at + 1] = rgb[at + 2] = data[i]!;
  return rgb;
}
