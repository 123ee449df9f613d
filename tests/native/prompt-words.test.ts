// A family that reads prompts as words: it says what it takes as words, and what its text encoder had no room for.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { testDevice } from '../device.js';
import { filesOfKlein, planKlein } from '../golden-plans.js';

describe('FLUX.2 klein', () => {
  const files = filesOfKlein();
  let engine: Engine;
  let model: LoadedModel;
  beforeAll(async () => {
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
    model = new LoadedModel(engine, files, await planKlein(48));
  });
  afterAll(async () => {
    await model?.close();
    await engine?.close();
  });

  async function run(change: Partial<GenerationOptions>) {
    const options = { width: 64, height: 64, steps: 1, seed: 1, prompt: '', ...change };
    const latents: Float32Array[] = [];
    const request = resolveRequest(options, files, model.plan);
    const { notes } = await generate(model, request, { onLatent: (_, latent) => latents.push(latent) });
    return { notes, latent: latents[0]! };
  }

  it('takes brackets as words, and says so', async () => {
    const { notes, latent } = await run({ prompt: 'a [red|blue] fox AND a (wood:1.3)' });
    expect(notes).toEqual(
      ['[red|blue]', 'AND', '(wood:1.3)'].map((mark) =>
        expect.stringContaining(`${mark} is taken as words: FLUX.2`),
      ),
    );
    const plain = await run({ prompt: 'a [red|blue] fox AND a (wood:1.3)', promptSyntax: 'plain' });
    expect(plain.notes).toEqual([]);
    expect(plain.latent).toEqual(latent);
    expect((await run({ prompt: '{"scene": ["(fox:1.3)", "[a|b]"]}' })).notes).toEqual([]);
  });

  it('says how much of a long prompt was not read', async () => {
    const { notes } = await run({ prompt: 'fox '.repeat(100) });
    expect(notes).toEqual([
      expect.stringMatching(
        /^The prompt is too long for the language model: the last \d+ tokens were not read\.$/,
      ),
    ]);
  });

  it('draws an empty prompt', async () => {
    const { notes, latent } = await run({ prompt: '' });
    expect(notes).toEqual([]);
    expect(latent.every(Number.isFinite)).toBe(true);
  });
});
