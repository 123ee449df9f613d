// A picture with a mask over its left half, for tests that begin from one.
import type { Pixels } from '../../src/native/addon.js';

/** Smooth waves, and a mask that shows the 48 columns on the left. */
export function makeWave(width: number, height: number): { init: Pixels; mask: Uint8Array } {
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => 128 + 100 * Math.sin(i / 50));
  const mask = Uint8Array.from({ length: width * height }, (_, i) => (i % width < 48 ? 255 : 0));
  return { init: { rgb, width, height }, mask };
}
