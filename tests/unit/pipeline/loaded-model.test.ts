// Which networks are in memory when, according to the log of a fake addon (~ means streamed).
import { describe, expect, it } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { generate } from '../../../src/pipeline/generate.js';
import { LoadedModel } from '../../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../../src/pipeline/resolve.js';
import { testModel } from '../../test-model.js';
import { behave, loadAddon, takeLog } from '../engine/fake-addon.mjs';

const plan = await planModel(testModel);

async function open(behaviour: string) {
  behave(behaviour);
  takeLog();
  const engine = new (loadAddon().Engine)({ device: 'cpu', onLog: () => undefined });
  const messages: string[] = [];
  const model = new LoadedModel(engine, testModel, plan, { log: (_, message) => messages.push(message) });
  const run = (prompt: string, change: Partial<GenerationOptions> = {}) => {
    const options = { prompt, width: 64, height: 64, steps: 1, seed: 1, ...change };
    return generate(model, resolveRequest(options, testModel, plan));
  };
  return { model, run, messages };
}

describe('with memory for all networks', () => {
  it('loads them once, in the order of use', async () => {
    const { run, model } = await open('free=1e12');
    await run('a fox');
    expect(takeLog()).toEqual(['+clip', '+unet', '+autoencoder', 'encode', 'encode']);
    await run('a cat');
    expect(takeLog()).toEqual(['encode', 'encode']);
    await model.close();
    expect(takeLog().sort()).toEqual(['-autoencoder', '-clip', '-unet']);
  });

  it('encodes a prompt once', async () => {
    const { run } = await open('free=1e13');
    const first = await run('a fox');
    await run('a cat');
    takeLog();
    expect((await run('a fox')).images).toEqual(first.images);
    expect(takeLog()).toEqual([]);
  });
});

describe('with memory for one network', () => {
  it('frees each network when its work is done, and draws the same pictures', async () => {
    const { run, messages } = await open('free=0');
    const { images } = await run('a fox');
    const text = ['+clip~', 'encode', 'encode', '-clip'];
    const picture = ['+unet~', '-unet', '+autoencoder~', '-autoencoder'];
    expect(takeLog()).toEqual([...text, ...picture]);
    expect(messages).toEqual([expect.stringMatching(/^memory mode stream: .* 0.00 GB are free$/)]);
    const again = await run('a cat');
    expect(takeLog()).toEqual([...text, ...picture]);
    await run('a cat');
    expect(takeLog()).toEqual(picture);
    expect(again.images).not.toEqual(images);
    const roomy = await open('free=1e12');
    expect((await roomy.run('a fox')).images).toEqual(images);
  });

  it('frees the autoencoder before it loads the denoiser, if a picture is given', async () => {
    const { run } = await open('free=0');
    const init = { rgb: new Uint8Array(64 * 64 * 3), width: 64, height: 64 };
    await run('a fox', { init });
    const pictures = ['+autoencoder~', '-autoencoder', '+unet~', '-unet', '+autoencoder~', '-autoencoder'];
    expect(takeLog()).toEqual(['+clip~', 'encode', 'encode', '-clip', ...pictures]);
  });
});

describe('a latent that cannot be decoded whole', () => {
  it('is decoded in tiles, and not drawn again', async () => {
    const { model, run } = await open('free=1e12&whole=4096');
    takeLog();
    const steps: number[] = [];
    const request = { prompt: 'a fox', width: 1024, height: 512, steps: 3, seed: 1 };
    const { images } = await generate(model, resolveRequest(request, testModel, plan), {
      onStep: (image) => steps.push(image),
    });
    expect(images[0]!.pixels).toMatchObject({ width: 1024, height: 512 });
    expect(steps).toEqual([0, 0, 0]);
    expect(takeLog().filter((entry) => entry === '+unet')).toHaveLength(1);
    await expect(run('a fox', { width: 512, height: 512 })).resolves.toMatchObject({ images: [{ seed: 1 }] });
    behave('free=1e12&whole=10');
    await expect(run('a fox')).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
  });
});

describe('a forced mode', () => {
  it('applies to its own run only', async () => {
    const { run, messages } = await open('free=1e12');
    await run('a fox', { memoryMode: 'offload' });
    expect(takeLog().join(' ')).toBe('+clip encode encode -clip +unet -unet +autoencoder -autoencoder');
    await run('a fox');
    expect(takeLog()).toEqual(['+clip', '+unet', '+autoencoder']);
    await run('a fox', { memoryMode: 'stream' });
    expect(takeLog().join(' ')).toBe('-clip -unet -autoencoder +unet~ -unet +autoencoder~ -autoencoder');
    expect(messages.map((line) => line.split(':')[0])).toEqual([
      'memory mode offload as asked',
      'memory mode full',
      'memory mode stream as asked',
    ]);
  });

  it('must be one that exists', () => {
    const options = { prompt: '', memoryMode: 'tiny' as 'full' };
    expect(() => resolveRequest(options, testModel, plan)).toThrow(/memoryMode: expected auto, full/);
  });
});
