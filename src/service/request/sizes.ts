// The size of a picture that is made from another one, where the request leaves it open.

import type { ReferenceRule } from '../../families/types.js';
import type { Size } from '../pictures/codec.js';
import { LIMITS } from './schema.js';

/** Side in pixels of the square that an image token of FLUX stands for. */
const TOKEN = 16;

export interface SizeBounds {
  maxSide: number;
  /** Sides are multiples of it. */
  multiple: number;
}

/**
 * Given sides stay; a missing one keeps the source's proportions. With none given the source's size is taken, scaled
 * down to the area that the model is made for.
 */
export function fitSize(source: Size, asked: Partial<Size>, preferred: Size, bounds: SizeBounds): Size {
  const { width, height } = asked;
  const ratio = source.width / source.height;
  if (width !== undefined && height !== undefined) return { width, height };
  if (width !== undefined) return { width, height: toSide(width / ratio, bounds) };
  if (height !== undefined) return { width: toSide(height * ratio, bounds), height };
  const area = preferred.width * preferred.height;
  const scale = Math.min(1, Math.sqrt(area / (source.width * source.height)));
  return { width: toSide(source.width * scale, bounds), height: toSide(source.height * scale, bounds) };
}

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

function toSide(pixels: number, { maxSide, multiple }: SizeBounds): number {
  const rounded = Math.round(pixels / multiple) * multiple;
  return Math.min(Math.max(rounded, LIMITS.minSide), Math.floor(maxSide / multiple) * multiple);
}
