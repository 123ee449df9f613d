// The size of a picture that is made from another one, where the request leaves it open.

import type { ReferenceRule } from '../families/types.js';
import type { Size } from './pictures.js';
import { LIMITS } from './request-schema.js';

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

/**
 * The size at which a model looks at a reference picture: of the sizes that it knows the one of the nearest
 * proportions, else the picture's own, scaled down to the largest area. Sides are multiples of 16, an image token.
 */
export function fitReference({ width, height }: Size, { area, sizes }: ReferenceRule): Size {
  if (sizes) {
    const ratio = width / height;
    const distance = ([w, h]: readonly [number, number]) => Math.abs(ratio - w / h);
    const [w, h] = sizes.reduce((best, size) => (distance(size) < distance(best) ? size : best));
    return { width: w, height: h };
  }
  const scale = Math.min(1, Math.sqrt(area / (width * height)));
  const side = (pixels: number) => Math.max(16, Math.floor((pixels * scale) / 16) * 16);
  return { width: side(width), height: side(height) };
}

function toSide(pixels: number, { maxSide, multiple }: SizeBounds): number {
  const rounded = Math.round(pixels / multiple) * multiple;
  return Math.min(Math.max(rounded, LIMITS.minSide), Math.floor(maxSide / multiple) * multiple);
}
