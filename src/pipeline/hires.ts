// Hires fix: models draw best at the size they were trained at, so a large picture is begun there, enlarged, and gone
// over once more with the tail of a schedule, as the Stable Diffusion WebUI does it.
import type { Pixels, Tensor } from '../native/addon.js';
import { encodePicture } from './img2img.js';
import type { LoadedModel } from './loaded-model.js';
import { enlargePlanes } from './resize.js';
import { decodeLatent } from './tiling.js';
import type { HiresPass } from './types.js';

/** More than the networks know timesteps is of no use. */
const MAX_SCHEDULE = 1000;

/** Steps of the whole schedule whose tail the second pass runs: at strength 0.5 its 10 steps are the last of 20. */
export function countScheduleSteps({ steps, strength }: Pick<HiresPass, 'steps' | 'strength'>): number {
  if (strength === 0) return steps;
  return Math.min(MAX_SCHEDULE, Math.max(steps, Math.floor(steps / strength)));
}

/** The second pass's own steps; none at strength 0, which leaves the enlarged picture as it is. */
export function takeSecondPass(
  sigmas: Float32Array,
  { steps, strength }: Pick<HiresPass, 'steps' | 'strength'>,
): Float32Array {
  return sigmas.slice(sigmas.length - 1 - (strength === 0 ? 0 : steps));
}

/** A finished latent at the second pass's size: enlarged itself, or as the picture that it stands for. */
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

/** Lanczos of three lobes. */
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
