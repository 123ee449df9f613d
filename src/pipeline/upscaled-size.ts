// How large an upscaled picture becomes. The service and the library ask before anything is loaded.
import { ImageForgeError } from '../shared/errors.js';
import { LIMITS } from '../shared/limits.js';

export interface UpscaledSize {
  width: number;
  height: number;
  /** Sides of the result over those of the source. */
  scale: number;
}

/**
 * The result's size; no side is shorter than a pixel. The upscaler always makes its own scale, and another scale is
 * reached by resizing what it made, so both are bounded.
 * @throws ImageForgeError TOO_LARGE with the figures.
 */
export function sizeUpscaled(
  { width, height }: { width: number; height: number },
  upscaler: { scale: number },
  scale = upscaler.scale,
): UpscaledSize {
  const largest = Math.max(scale, upscaler.scale);
  const pixels = width * height * largest ** 2;
  if (pixels > LIMITS.upscaledPixels) {
    const million = (count: number) => Math.floor(count / 1e6);
    throw new ImageForgeError(
      'TOO_LARGE',
      `image: ${width}x${height} times ${largest} has ${Math.ceil(pixels / 1e6)} million pixels; at most ${million(LIMITS.upscaledPixels)} million are made.`,
      { hint: 'Use a smaller picture or an upscaler of a smaller scale.', details: { fields: ['image'] } },
    );
  }
  const side = (length: number) => Math.max(1, Math.round(length * scale));
  return { width: side(width), height: side(height), scale };
}
