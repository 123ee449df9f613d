// A failure inside a network shows as NaN or as a picture of one colour: that is an error, not a result.
import type { Pixels } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';

const hint =
  "Try a lower guidance, another sampler or a size near the model's own; if it stays, the weights may be damaged " +
  'or of a type that overflows: try BF16, F32 or Q8_0.';

/** Refuses a latent with NaN or infinity, which never recovers. */
export function requireFinite(denoised: Float32Array, sigma: number): void {
  const at = denoised.findIndex((value) => !Number.isFinite(value));
  if (at !== -1)
    throw new ImageForgeError(
      'BAD_IMAGE',
      `The network gave ${denoised[at]} instead of numbers at sigma ${sigma.toPrecision(4)}.`,
      { hint },
    );
}

export function requirePicture({ rgb }: Pixels): void {
  const [r, g, b] = rgb;
  for (let i = 0; i < rgb.length; i += 3) if (rgb[i] !== r || rgb[i + 1] !== g || rgb[i + 2] !== b) return;
  throw new ImageForgeError('BAD_IMAGE', `The whole picture came out as one colour (${r}, ${g}, ${b}).`, {
    hint,
  });
}
