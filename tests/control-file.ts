// Makes a random ControlNet for a test model, from the shapes of the model's UNet.
// @ts-expect-error plain JavaScript
import { controlNetLayouts, makeControlNet } from '../scripts/fixtures/control-net.mjs';
// @ts-expect-error plain JavaScript
import { writeSafetensors } from '../scripts/fixtures/tensors.mjs';
import { planModel } from '../src/families/index.js';
import type { ModelFiles } from '../src/families/types.js';

export async function writeControlNet(
  path: string,
  model: ModelFiles,
  layout: 'original' | 'plain' | 'diffusers' = 'original',
): Promise<string> {
  const { denoiser, latent } = await planModel(model);
  const unet = new Map(denoiser.weights.tensors.map((tensor) => [tensor.name, tensor]));
  writeSafetensors(path, controlNetLayouts[layout](makeControlNet(unet, 7, latent.channels)));
  return path;
}
