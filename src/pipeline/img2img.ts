// Image to image (SDEdit, Meng et al. 2022): the picture's latent gets as much noise as the first sigma of the schedule's
// tail, and the tail is run.
import type { Autoencoder, Pixels, Tensor } from '../native/addon.js';
import { throwIfAborted } from './abort.js';

/** The last floor(steps * strength) steps, but at least one unless the strength is 0. */
export function takeTail(sigmas: Float32Array, strength: number): Float32Array {
  const steps = sigmas.length - 1;
  const kept = Math.min(steps, Math.max(Math.floor(steps * strength), strength > 0 ? 1 : 0));
  return sigmas.slice(steps - kept);
}

/** Encodes a picture as the mean of its posterior, without the noise that a sample would add. */
export async function encodePicture(autoencoder: Autoencoder, picture: Pixels): Promise<Tensor> {
  const { mean } = await autoencoder.encode(picture);
  return mean;
}

/** Encodes several pictures, one after the other. */
export async function encodePictures(
  autoencoder: Autoencoder,
  pictures: Pixels[],
  signal: AbortSignal | undefined,
): Promise<Tensor[]> {
  const latents: Tensor[] = [];
  for (const picture of pictures) {
    throwIfAborted(signal);
    latents.push(await encodePicture(autoencoder, picture));
  }
  return latents;
}
