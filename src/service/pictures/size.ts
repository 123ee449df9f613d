// Sizes in pixels, and the size at which a model looks at a reference picture.
import type { ReferenceRule } from '../../families/types.js';

export interface Size {
  width: number;
  height: number;
}

/** Side in pixels of the square that an image token of FLUX stands for. */
const TOKEN = 16;

/** A picture is scaled to `scaled`, of which the middle stays, cut to width x height. */
export interface Fit extends Size {
  scaled: Size;
}

/**
 * How a model looks at a reference picture: stretched to the size of the nearest proportions, where it knows certain
 * sizes (Kontext); else at the picture's own size, scaled down to the largest area and cut to whole image tokens of 16
 * pixels, as the authors' code does (flux2, sampling.py). Only what has not even one token is enlarged to it.
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
