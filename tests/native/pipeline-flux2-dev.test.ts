// FLUX.2 dev's prompts: Mistral's own template and tokenizer (tekken), padded on the left, states of three layers.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import { toBytes } from '../../scripts/fixtures/fp8.mjs';
// @ts-expect-error plain JavaScript
import { stack, writeSafetensors } from '../../scripts/fixtures/tensors.mjs';
import { planModel } from '../../src/families/index.js';
import type { ModelFiles } from '../../src/families/types.js';
import type { Engine } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { encodeMistralPrompt } from '../../src/text/flux-prompts.js';
import { createTokenizer } from '../../src/text/load-tokenizer.js';
import { readTekken } from '../../src/text/read-tekken.js';
import { testDevice } from '../device.js';
import { makeFolder } from '../folder.js';
import { partsOfFlux2Dev } from '../golden-plans.js';

const tekken = path.resolve(import.meta.dirname, '../fixtures/tokenizers/tekken.json');

describe('FLUX.2 dev', () => {
  const llm = path.join(makeFolder('mistral'), 'mistral.safetensors');
  const json = JSON.parse(readFileSync(tekken, 'utf8'));
  let engine: Engine;
  let files: ModelFiles;

  beforeAll(async () => {
    const { mistral, ...others } = await partsOfFlux2Dev();
    files = { ...others, llm };
    // the case has fewer tokens than the tokenizer, which the file brings as ComfyUI's does
    const { num_vocab_tokens, default_num_special_tokens } = json.config;
    const table = mistral.get('model.embed_tokens.weight');
    const copies = Math.ceil((num_vocab_tokens + default_num_special_tokens) / table.shape[0]);
    mistral.set('model.embed_tokens.weight', stack(Array(copies).fill(table)));
    writeSafetensors(llm, new Map([...mistral, ['tekken_model', toBytes(readFileSync(tekken))]]));
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
  });
  afterAll(async () => {
    await engine?.close();
  });

  it('conditions on three layers of Mistral beside each other, its guidance distilled', async () => {
    const plan = await planModel(files);
    const prompt = 'a red fox in the snow';
    const model = new LoadedModel(engine, files, plan);
    const words = { prompt, negativePrompt: 'fog', guidance: 4, clipSkip: 1, width: 64, height: 64 };
    const { positive, negative } = await model.encodePrompts(words, undefined);
    await model.close();
    const { kind, config, weights, layers } = plan.textEncoders[0]!;
    const { width } = config as { width: number };
    expect(layers).toHaveLength(3);
    expect([positive.guidance, negative, positive.context.shape]).toEqual([4, undefined, [512, 3 * width]]);

    const tokenizer = createTokenizer(readTekken(json, tekken), tekken);
    const { ids, mask } = encodeMistralPrompt(tokenizer, prompt);
    expect([mask[0], mask.at(-1)]).toEqual([0, 1]);
    const encoder = await engine.loadTextEncoder(kind, config, weights);
    const { hidden } = await encoder.encode(ids, { layers, norm: false, mask });
    await encoder.close();
    for (const [layer, { data }] of hidden.entries())
      for (const token of [0, 300, 511])
        expect(positive.context.data.slice((token * 3 + layer) * width).subarray(0, width)).toEqual(
          data.slice(token * width, (token + 1) * width),
        );
  });
});
