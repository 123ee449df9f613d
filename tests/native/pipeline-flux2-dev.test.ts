// FLUX.2 dev's prompts: Mistral's own template and tokenizer (tekken), padded on the left, states of three layers.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import { toBytes } from '../../scripts/fixtures/fp8.mjs';
// @ts-expect-error plain JavaScript
import { readSafetensors, stack, writeSafetensors } from '../../scripts/fixtures/tensors.mjs';
import { planModel } from '../../src/families/index.js';
import type { Engine } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { encodeMistralPrompt } from '../../src/text/flux-prompts.js';
import { createTokenizer } from '../../src/text/load-tokenizer.js';
import { readTekken } from '../../src/text/read-tekken.js';
import { testDevice } from '../device.js';
import { goldenCase } from '../golden.js';

const golden = goldenCase('flux2-text-mistral');
const tekken = path.resolve(import.meta.dirname, '../fixtures/tokenizers/tekken.json');

describe.skipIf(!golden.present)(`FLUX.2 dev ${golden.reason}`, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'imageforge-mistral-'));
  const llm = path.join(folder, 'mistral.safetensors');
  let engine: Engine;

  beforeAll(() => {
    // the golden case has 300 tokens, the tokenizer some thousand, which the file brings as ComfyUI's does
    const tensors = readSafetensors(golden.path('mistral.safetensors'));
    const table = tensors.get('model.embed_tokens.weight');
    tensors.set('model.embed_tokens.weight', stack([table, table, table, table]));
    writeSafetensors(llm, new Map([...tensors, ['tekken_model', toBytes(readFileSync(tekken))]]));
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
  });
  afterAll(async () => {
    await engine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('conditions on three layers of Mistral beside each other, its guidance distilled', async () => {
    const files = {
      model: golden.path('../flux2-dev/model.safetensors'),
      llm,
      vae: golden.path('../vae-flux2/flux2-vae.safetensors'),
    };
    const plan = await planModel(files);
    const prompt = 'a red fox in the snow';
    const model = new LoadedModel(engine, files, plan);
    const words = { prompt, negativePrompt: 'fog', guidance: 4, clipSkip: 1, width: 64, height: 64 };
    const { positive, negative } = await model.encodePrompts(words, undefined);
    await model.close();
    expect([positive.guidance, negative, positive.context.shape]).toEqual([4, undefined, [512, 192]]);

    const json = JSON.parse(readFileSync(tekken, 'utf8'));
    const tokenizer = createTokenizer(readTekken(json, tekken), tekken);
    const { ids, mask } = encodeMistralPrompt(tokenizer, prompt);
    expect([mask[0], mask.at(-1)]).toEqual([0, 1]);
    const { kind, config, weights } = plan.textEncoders[0]!;
    const encoder = await engine.loadTextEncoder(kind, config, weights);
    const { hidden } = await encoder.encode(ids, { layers: [1, 2, 3], norm: false, mask });
    await encoder.close();
    for (const [layer, { data }] of hidden.entries())
      for (const token of [0, 300, 511])
        expect(positive.context.data.slice((token * 3 + layer) * 64, (token * 3 + layer + 1) * 64)).toEqual(
          data.slice(token * 64, (token + 1) * 64),
        );
  });
});
