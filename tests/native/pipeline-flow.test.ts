// Initial pictures on a flow model (FLUX.2 klein): a flow schedule's noise reaches 1, where nothing of the picture is left,
// and the lower it begins, the more of the picture stays.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { testDevice } from '../device.js';
import { filesOfKlein, planKlein } from '../golden-plans.js';
import { makeWave } from './wave.js';

const [width, height] = [96, 64];

describe('initial pictures on a flow model', () => {
  let engine: Engine;
  let model: LoadedModel;
  const { init, mask } = makeWave(width, height);

  beforeAll(async () => {
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
    model = new LoadedModel(engine, filesOfKlein(), await planKlein(32));
  });
  afterAll(async () => {
    await model?.close();
    await engine?.close();
  });

  async function run(options: Partial<GenerationOptions>) {
    const asked = { prompt: 'a fox', width, height, steps: 4, seed: 3, ...options };
    let steps = 0;
    const request = resolveRequest(asked, model.files, model.plan);
    const { images } = await generate(model, request, { onStep: () => steps++ });
    return { rgb: images[0]!.pixels.rgb, steps };
  }

  const distance = (a: Uint8Array, b: Uint8Array) =>
    Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]!) ** 2, 0) / a.length);

  it('count for nothing at strength 1', async () => {
    const whole = await run({ init, strength: 1 });
    expect(whole).toEqual(await run({}));
    expect(whole.steps).toBe(4);
  });

  it('stay the more, and take the fewer steps, the lower the strength is', async () => {
    const autoencoder = await model.loadAutoencoder();
    const { rgb: through } = await autoencoder.decode((await autoencoder.encode(init)).mean);
    const runs = [];
    for (const strength of [0.25, 0.5, 1]) runs.push(await run({ init, strength }));
    expect(runs.map(({ steps }) => steps)).toEqual([1, 2, 4]);
    const far = runs.map(({ rgb }) => distance(rgb, through));
    expect(far[0]).toBeLessThan(far[1]!);
    expect(far[1]).toBeLessThan(far[2]!);
  });

  it('are repainted where the mask shows them, and keep every other pixel', async () => {
    const { rgb } = await run({ init, mask, strength: 1 });
    const changed = (value: number) =>
      rgb.filter((v, i) => mask[Math.floor(i / 3)] === value && v !== init.rgb[i]).length;
    expect(changed(0)).toBe(0);
    expect(changed(255)).toBeGreaterThan(48 * height);
  });
});
