// Hires fix. Models draw best at the size they were trained at, so a large picture starts at that size, is enlarged, and
// is denoised again with the tail of a schedule, as in the Stable Diffusion WebUI.
import type { Pixels, Tensor } from '../native/addon.js';
import { encodePicture } from './img2img.js';
import type { LoadedModel } from './loaded-model.js';
import { enlargePlanes } from './resize.js';
import { decodeLatent } from './tiling.js';
import type { HiresPass } from './types.js';

/** The networks know 1000 timesteps; a longer schedule adds nothing. */
const MAX_SCHEDULE = 1000;

/** Length of the schedule whose tail the second pass runs: 10 steps at strength 0.5 are the last 10 of 20. */
export function countScheduleSteps({ steps, strength }: Pick<HiresPass, 'steps' | 'strength'>): number {
  if (strength === 0) return steps;
  return Math.min(MAX_SCHEDULE, Math.max(steps, Math.floor(steps / strength)));
}

/** The sigmas that the second pass runs; none at strength 0, which leaves the enlarged picture as it is. */
export function takeSecondPass(
  sigmas: Float32Array,
  { steps, strength }: Pick<HiresPass, 'steps' | 'strength'>,
): Float32Array {
  return sigmas.slice(sigmas.length - 1 - (strength === 0 ? 0 : steps));
}

/** Enlarges a finished latent to the second pass's size: the latent itself, or the picture it decodes to. */
export async function enlargeLatent(
  model: LoadedModel,
  latent: Tensor,
  { width, height, upscaler }: HiresPass,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  if (upscaler === 'latent') {
    const { factor } = model.plan.latent;
    const shape = latent.shape as [number, number, number];
    return enlargePlanes(latent.data, shape, [height / factor, width / factor], 'bilinear');
  }
  const autoencoder = await model.loadAutoencoder(signal);
  const picture = await decodeLatent(autoencoder, latent, signal);
  return (await encodePicture(autoencoder, enlargePicture(picture, width, height))).data;
}

/** Enlarges a picture with the Lanczos kernel of three lobes. */
export function enlargePicture({ rgb, width, height }: Pixels, wide: number, high: number): Pixels {
  const planes = Float32Array.from({ length: rgb.length }, (_, i) => {
    const pixel = i % (width * height);
    return rgb[pixel * 3 + Math.floor(i / (width * height))]!;
  });
  const large = enlargePlanes(planes, [3, height, width], [high, wide], 'lanczos');
  const pixels = new Uint8ClampedArray(large.length);
  for (let c = 0; c < 3; c++)
    for (let i = 0; i < wide * high; i++) pixels[i * 3 + c] = large[c * wide * high + i]!;
  return { rgb: new Uint8Array(pixels.buffer), width: wide, height: high };
}
