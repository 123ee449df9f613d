// A UNet with mask channels for inpainting, put together from two golden cases.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { makeMaskChannels } from '../../src/pipeline/inpaint.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { testDevice } from '../device.js';
import { planInpaint } from '../golden-plans.js';
import { makeWave } from './wave.js';

const [width, height] = [128, 64];

describe('unet-sd1-inpaint', () => {
  let engine: Engine;
  let model: LoadedModel;
  const { init, mask } = makeWave(width, height);

  beforeAll(async () => {
    const { files, plan } = await planInpaint();
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    model = new LoadedModel(engine, files, plan);
  });
  afterAll(async () => {
    await model?.close();
    await engine?.close();
  });

  const run = async (options: Partial<GenerationOptions>) => {
    const request = resolveRequest(
      { prompt: 'a fox', width, height, steps: 2, guidance: 2, seed: 3, strength: 1, ...options },
      model.files,
      model.plan,
    );
    return (await generate(model, request)).images[0]!.pixels.rgb;
  };

  it('gives the network the mask, then the latent of the picture with grey under it', async () => {
    const autoencoder = await model.loadAutoencoder();
    const { data, shape } = await makeMaskChannels(autoencoder, width, height, 8, init, mask);
    expect(shape).toEqual([1 + model.plan.latent.channels, 8, 16]);
    const row = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    expect(Array.from(data.subarray(0, 128))).toEqual(Array.from({ length: 8 }, () => row).flat());

    const hidden = { ...init, rgb: init.rgb.map((v, i) => (mask[Math.floor(i / 3)] ? 255 - v : v)) };
    expect((await makeMaskChannels(autoencoder, width, height, 8, hidden, mask)).data).toEqual(data);
  });

  it('repaints what the mask shows and keeps every other pixel', async () => {
    const painted = await run({ init, mask });
    const changed = (value: number) =>
      painted.filter((v, i) => mask[Math.floor(i / 3)] === value && v !== init.rgb[i]).length;
    expect(changed(0)).toBe(0);
    expect(changed(255)).toBeGreaterThan(48 * height);
  });

  it('draws from text alone as if everything were masked', async () => {
    expect(await run({})).not.toEqual(await run({ prompt: 'a house' }));
  });
});
