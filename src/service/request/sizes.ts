// Chooses the size of a picture that is made from another one, if the request leaves it open.

import { LIMITS } from '../../shared/limits.js';
import type { Size } from '../pictures/size.js';

export interface SizeBounds {
  maxSide: number;
  /** Sides are multiples of this. */
  multiple: number;
}

/**
 * Keeps the given sides. A missing side follows the source's proportions. If neither is given, takes the source's size,
 * scaled down to the area that the model is made for.
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

function toSide(pixels: number, { maxSide, multiple }: SizeBounds): number {
  const rounded = Math.round(pixels / multiple) * multiple;
  return Math.min(Math.max(rounded, LIMITS.minSide), Math.floor(maxSide / multiple) * multiple);
}
