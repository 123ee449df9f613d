// What hires fix adds to a request, and how latents and pictures are enlarged.
import { describe, expect, it } from 'vitest';
import { countScheduleSteps, enlargePicture, takeSecondPass } from '../../../src/pipeline/hires.js';
import { enlargePlanes } from '../../../src/pipeline/resize.js';
import { finalSize, type HiresOptions, resolveRequest } from '../../../src/pipeline/resolve.js';

const plan = {
  prediction: 'eps',
  latent: { channels: 4, factor: 8 },
  defaults: { steps: 20, guidance: 7, width: 512, height: 384, sampler: 'euler', schedule: 'karras' },
} as const;
const resolve = (hires: HiresOptions, more = {}) =>
  resolveRequest({ prompt: 'a fox', hires, ...more }, { model: 'm.gguf' }, plan);

describe('resolveRequest', () => {
  it('fills in a second pass with sides that the model supports', () => {
    const request = resolve({});
    expect(request.hires).toEqual({
      width: 1024,
      height: 768,
      scale: 2,
      steps: 20,
      strength: 0.6,
      upscaler: 'latent',
    });
    expect(finalSize(request)).toEqual({ width: 1024, height: 768 });
    const odd = resolve({ scale: 1.3, steps: 7, strength: 0.3, upscaler: 'pixel' });
    expect(odd.hires).toMatchObject({ width: 664, height: 496, steps: 7, strength: 0.3, upscaler: 'pixel' });
  });

  it.each<[string, HiresOptions, RegExp]>([
    ['scale', { scale: 0.5 }, /hires\.scale: expected a number from 1 to 8, found 0\.5/],
    ['strength', { strength: 1.5 }, /hires\.strength.*0 to 1/],
    ['steps', { steps: 0 }, /hires\.steps.*1 to 200/],
    ['upscaler', { upscaler: 'magic' as 'pixel' }, /hires\.upscaler: expected latent or pixel, found magic/],
  ])('refuses a wrong %s', (_, hires, message) => {
    expect(() => resolve(hires)).toThrow(message);
  });

  it('refuses a second pass over an initial picture', () => {
    const init = { rgb: new Uint8Array(64 * 64 * 3), width: 64, height: 64 };
    expect(() => resolve({}, { init })).toThrow(/hires/);
  });
});

describe('the second pass', () => {
  it.each([
    [{ steps: 10, strength: 0.5 }, 20, 10],
    [{ steps: 20, strength: 0.7 }, 28, 20],
    [{ steps: 2, strength: 1 }, 2, 2],
    [{ steps: 30, strength: 0.01 }, 1000, 30],
    [{ steps: 5, strength: 0 }, 5, 0],
  ])('%j: of %i steps the last %i', (pass, whole, kept) => {
    expect(countScheduleSteps(pass)).toBe(whole);
    const sigmas = Float32Array.from({ length: whole + 1 }, (_, i) => whole - i);
    expect(takeSecondPass(sigmas, pass)).toEqual(sigmas.slice(whole - kept));
  });
});

describe('enlarging', () => {
  it('is bilinear for latents, as torch interpolates without aligned corners', () => {
    const rows = [
      [0, 0.25, 0.75, 1.75, 3.25, 4],
      [2.25, 2.875, 4.125, 5.875, 8.125, 9.25],
      [6.75, 8.125, 10.875, 14.125, 17.875, 19.75],
      [9, 10.75, 14.25, 18.25, 22.75, 25],
    ];
    const grown = enlargePlanes([0, 1, 4, 9, 16, 25], [1, 2, 3], [4, 6], 'bilinear');
    for (const [i, value] of rows.flat().entries()) expect(grown[i]).toBeCloseTo(value, 5);
  });

  it('counts only samples inside the border, and divides by the sum of their weights', () => {
    const grown = enlargePlanes([0, 1], [1, 1, 2], [1, 4], 'lanczos');
    // Repeating the border's samples would give -0.103, 0.210, 0.790, 1.103.
    for (const [i, value] of [-0.1754777, 0.2328707, 0.7671293, 1.1754777].entries())
      expect(grown[i]).toBeCloseTo(value, 6);
  });

  it('keeps channels apart', () => {
    const grown = enlargePlanes([1, 1, 1, 1, 5, 5, 5, 5], [2, 2, 2], [3, 3], 'lanczos');
    for (const [i, value] of grown.entries()) expect(value).toBeCloseTo(i < 9 ? 1 : 5, 5);
  });

  it('is Lanczos for pictures, and matches image libraries up to rounding', () => {
    const grey = [100, 120, 170, 110, 150, 180];
    const rgb = Uint8Array.from(grey.flatMap((value) => [value, 255 - value, 128]));
    const { rgb: grown, width, height } = enlargePicture({ rgb, width: 3, height: 2 }, 6, 4);
    expect([width, height]).toEqual([6, 4]);
    const expected = [
      98, 98, 103, 131, 159, 175, 101, 104, 115, 142, 165, 177, 104, 113, 129, 157, 174, 181, 107, 119, 141,
      168, 180, 183,
    ];
    for (const [i, value] of expected.entries()) {
      expect(Math.abs(grown[i * 3]! - value)).toBeLessThanOrEqual(1);
      expect(grown[i * 3 + 2]).toBe(128);
    }
  });
});
