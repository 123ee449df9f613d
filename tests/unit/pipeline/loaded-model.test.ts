// Which networks are in memory when, seen from a fake addon that keeps a diary.
import { describe, expect, it } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { generate } from '../../../src/pipeline/generate.js';
import { LoadedModel } from '../../../src/pipeline/loaded-model.js';
import { resolveRequest } from '../../../src/pipeline/resolve.js';
import { testModel } from '../../test-model.js';
import { behave, loadAddon, takeLog } from '../engine/fake-addon.mjs';

async function open(behaviour: string) {
  behave(behaviour);
  takeLog();
  const engine = new (loadAddon().Engine)({ device: 'cpu', onLog: () => undefined });
  const plan = await planModel(testModel);
  const model = new LoadedModel(engine, testModel, plan);
  const run = (prompt: string) =>
    generate(model, resolveRequest({ prompt, width: 64, height: 64, steps: 1, seed: 1 }, testModel, plan));
  return { model, run };
}

describe('with memory for all networks', () => {
  it('loads them once, in the order of their work', async () => {
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
  it('frees each one whose work is done, and gives the same pictures', async () => {
    const { run } = await open('free=0');
    const { images } = await run('a fox');
    const once = ['encode', 'encode', '-clip', '+unet', '-unet', '+autoencoder'];
    expect(takeLog()).toEqual(['+clip', ...once]);
    const again = await run('a cat');
    expect(takeLog()).toEqual(['-autoencoder', '+clip', ...once]);
    await run('a cat');
    expect(takeLog()).toEqual(['-autoencoder', '+unet', '-unet', '+autoencoder']);
    expect(again.images).not.toEqual(images);
    const roomy = await open('free=1e12');
    expect((await roomy.run('a fox')).images).toEqual(images);
  });
});
