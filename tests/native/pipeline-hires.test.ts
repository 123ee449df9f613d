// Hires fix on real networks: what the second pass begins from, how many steps it runs, and what it gives.
import { describe, expect, it } from 'vitest';
import { generate } from '../../src/pipeline/generate.js';
import { enlargePicture } from '../../src/pipeline/hires.js';
import { enlargePlanes } from '../../src/pipeline/resize.js';
import { type HiresOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { useModel } from './use-model.js';

describe('hires fix', () => {
  const model = useModel();

  async function run(hires: HiresOptions | undefined) {
    const asked = { prompt: 'a fox', width: 128, height: 64, steps: 3, seed: 7, batch: 2, sampler: 'euler' };
    const request = resolveRequest({ ...asked, hires }, model().files, model().plan);
    const latents: Float32Array[] = [];
    let steps = 0;
    const { images } = await generate(model(), request, {
      onLatent: (_, latent) => latents.push(latent.slice()),
      onStep: () => steps++,
    });
    return { images, latents, steps };
  }

  it('runs the steps that were asked for, on latents of the enlarged size', async () => {
    const plain = await run(undefined);
    const large = await run({ scale: 1.5, steps: 2, strength: 0.6 });
    expect(plain.steps).toBe(2 * 3);
    expect(large.steps).toBe(2 * 3 + 2 * 2);
    expect(large.images.map(({ pixels }) => [pixels.width, pixels.height])).toEqual([
      [192, 96],
      [192, 96],
    ]);
    expect(large.latents.slice(0, 2)).toEqual(plain.latents);
    expect(large.latents[2]).not.toEqual(large.latents[3]);
    expect((await run({ scale: 1.5, steps: 2, strength: 0.6 })).images).toEqual(large.images);
    expect((await run({ scale: 1.5, steps: 2, strength: 0.9 })).images).not.toEqual(large.images);
  });

  it('leaves the enlarged latent as it is at strength 0', async () => {
    const { images, latents } = await run({ strength: 0 });
    const autoencoder = await model().loadAutoencoder();
    const { channels } = model().plan.latent;
    for (const [i, { pixels }] of images.entries()) {
      const data = enlargePlanes(latents[i]!, [channels, 8, 16], [16, 32], 'bilinear');
      expect(pixels).toEqual(await autoencoder.decode({ data, shape: [channels, 16, 32] }));
    }
  });

  it('leaves the enlarged picture as it is at strength 0 with an upscaler of pixels', async () => {
    const plain = await run(undefined);
    const { images } = await run({ strength: 0, upscaler: 'pixel' });
    const autoencoder = await model().loadAutoencoder();
    const { mean } = await autoencoder.encode(enlargePicture(plain.images[0]!.pixels, 256, 128));
    expect(images[0]!.pixels).toEqual(await autoencoder.decode(mean));
  });
});
