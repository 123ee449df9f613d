// Picture sizes in pixels, and the size at which a model sees a reference picture.
import type { ReferenceRule } from '../../families/types.js';

export interface Size {
  width: number;
  height: number;
}

/** Side in pixels of the square that one FLUX image token covers. */
const TOKEN = 16;

/** A picture is scaled to `scaled`, then cropped around its centre to width x height. */
export interface Fit extends Size {
  scaled: Size;
}

/**
 * How a model sees a reference picture. If it knows certain sizes (Kontext), the picture is stretched to the one with the
 * nearest proportions. Otherwise it keeps its own size, scaled down to the largest area and cropped to whole image tokens
 * of 16 pixels, as the authors' code does (flux2, sampling.py). A side smaller than one token is enlarged to one.
 */
export function fitReference({ width, height }: Size, { area, sizes }: ReferenceRule): Fit {
  if (sizes) {
    const ratio = width / height;
    const distance = ([w, h]: readonly [number, number]) => Math.abs(ratio - w / h);
    const [w, h] = sizes.reduce((best, size) => (distance(size) < distance(best) ? size : best));
    return { width: w, height: h, scaled: { width: w, height: h } };
  }
  const scale = Math.min(1, Math.sqrt(area / (width * height)));
  const side = (pixels: number) => Math.max(TOKEN, Math.floor(pixels * scale));
  const scaled = { width: side(width), height: side(height) };
  const whole = (pixels: number) => pixels - (pixels % TOKEN);
  return { width: whole(scaled.width), height: whole(scaled.height), scaled };
}
