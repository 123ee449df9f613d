// Decodes a client's pictures to RGB of the wanted size, and encodes pixels as PNG. Sharp is loaded with the first
// picture, not with the program.
import type { Sharp } from 'sharp';
import type { ReferenceRule } from '../../families/types.js';
import type { Pixels } from '../../native/addon.js';
import { ImageForgeError } from '../../shared/errors.js';
import { fitReference, type Size } from './size.js';

/** Decoded pixels of a source, before it is resized. */
const MAX_PIXELS = 2 ** 26;

/** Width and height as shown, with the camera's orientation applied. */
export async function measurePicture(bytes: Uint8Array, name: string): Promise<Size> {
  return guard(name, async () => {
    const { autoOrient } = await (await openPicture(bytes)).metadata();
    return { width: autoOrient.width, height: autoOrient.height };
  });
}

/**
 * RGB at exactly this size; other proportions are stretched, transparency becomes white. `scaled` is larger where the
 * picture is to be cut: it is brought to that size, and its middle is given.
 */
export async function decodePicture(
  bytes: Uint8Array,
  { width, height }: Size,
  name: string,
  scaled: Size = { width, height },
): Promise<Pixels> {
  const middle = {
    ...{ left: Math.floor((scaled.width - width) / 2), top: Math.floor((scaled.height - height) / 2) },
    ...{ width, height },
  };
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

/** A reference picture as the model looks at it. `name` is the request's field, for messages. */
export async function decodeReference(bytes: Uint8Array, rule: ReferenceRule, name: string): Promise<Pixels> {
  const fit = fitReference(await measurePicture(bytes, name), rule);
  return decodePicture(bytes, fit, name, fit.scaled);
}

/** One byte a pixel, 255 = repaint. */
export async function decodeMask(
  bytes: Uint8Array,
  { width, height }: Size,
  name: string,
): Promise<Uint8Array> {
  const data = await guard(name, async () =>
    (await openPicture(bytes))
      .autoOrient()
      .removeAlpha()
      .toColourspace('srgb')
      .resize(width, height, { fit: 'fill', kernel: 'linear' })
      .raw()
      .toBuffer(),
  );
  const rgb = spreadToRgb(data, width * height);
  const mask = new Uint8Array(width * height);
  // ITU-R 601 luma, as image libraries turn colour into grey
  for (let i = 0, at = 0; i < mask.length; i++, at += 3)
    mask[i] = Math.round(0.299 * rgb[at]! + 0.587 * rgb[at + 1]! + 0.114 * rgb[at + 2]!);
  return mask;
}

/** Loads the library now: a server does it before it listens, since loading blocks for a while. */
export async function preparePictures(): Promise<void> {
  await loadSharp();
}

export async function encodePng({ rgb, width, height }: Pixels): Promise<Buffer> {
  const sharp = await loadSharp();
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** The same picture at another size; of its own size it comes back as it is. */
export async function resizePicture(picture: Pixels, { width, height }: Size): Promise<Pixels> {
  if (picture.width === width && picture.height === height) return picture;
  const sharp = await loadSharp();
  const raw = { width: picture.width, height: picture.height, channels: 3 } as const;
  const data = await sharp(picture.rgb, { raw }).resize(width, height, { fit: 'fill' }).raw().toBuffer();
  return { rgb: spreadToRgb(data, width * height), width, height };
}

/** An encoded picture as PNG of this size; what has other proportions is cut around its middle. */
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

/** A picture for a chat or an event: at most `side` pixels and `bytes` bytes, JPEG. */
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

async function openPicture(bytes: Uint8Array): Promise<Sharp> {
  return (await loadSharp())(bytes, { limitInputPixels: MAX_PIXELS, failOn: 'error' });
}

/** Whatever goes wrong while a client's picture is read is the client's to know, in one line. */
async function guard<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { message } = error as Error;
    if (/pixel limit/i.test(message)) {
      throw new ImageForgeError('TOO_LARGE', `${name}: the picture has more than ${MAX_PIXELS} pixels.`, {
        cause: error,
      });
    }
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `${name}: not a picture that can be read: ${message.split('\n')[0]}.`,
      {
        hint: 'PNG, JPEG, WebP, GIF, AVIF and TIFF are read.',
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
