// Networks whose weights are copied in turn into the memory that they compute in: the same values as those of networks
// that are loaded whole. On the CPU, which stands for any device here; others add up in another order when graphs are cut.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planModel } from '../../src/families/index.js';
import { readT5Config, t5Layouts } from '../../src/families/networks/t5.js';
import { toWeights, viewTensors } from '../../src/families/tensors.js';
import type { Engine, LoadOptions } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { onCpu, testDevice } from '../device.js';
import { goldenCase } from '../golden.js';
import { testModel } from '../test-model.js';
import { shiftPlan, shiftWeights } from './shifted.js';

let engine: Engine;
beforeAll(() => {
  engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
});
afterAll(() => engine.close());

const klein = goldenCase('e2e-flux2-klein');
const lora = goldenCase('lora-sd1');
const t5 = goldenCase('t5-encoder');
const models = [
  { name: 'the embedded model', files: testModel, present: true, options: { guidance: 3 } },
  {
    name: 'SD 1.x with a LoRA',
    files: { model: goldenCase('e2e-sd1').path('model.safetensors') },
    present: lora.present,
    options: { loras: [{ path: lora.path('kohya.safetensors'), strength: 0.8 }] },
  },
  {
    name: 'FLUX.2 with Qwen3',
    files: {
      model: klein.path('../flux2-klein/model.safetensors'),
      llm: klein.path('../flux2-text-qwen3/qwen3.safetensors'),
      vae: klein.path('../vae-flux2/flux2-vae.safetensors'),
    },
    present: klein.present,
    options: {},
  },
];

describe.each(models)('$name', ({ files, present, options }) => {
  it.runIf(onCpu && present)('draws the same pictures', async () => {
    const plan = await planModel(files, { textHeads: 2 });
    const draw = async (how: typeof plan, change: Partial<GenerationOptions>) => {
      const model = new LoadedModel(engine, files, how);
      const request = { prompt: 'a fox', width: 64, height: 96, steps: 2, seed: 1, ...options, ...change };
      const { images } = await generate(model, resolveRequest(request, files, how));
      await model.close();
      return images.map(({ pixels }) => pixels);
    };
    const whole = await draw(plan, { memoryMode: 'full' });
    expect(await draw(shiftPlan(plan), { memoryMode: 'stream' })).toEqual(whole);
    expect(engine.memory()).toMatchObject({ weights: 0, compute: 0 });
  });
});

it.runIf(onCpu && t5.present)('T5 encodes texts of any length to the same states', async () => {
  const path = t5.path('t5xxl.safetensors');
  const tensors = t5Layouts[0]!.rename(viewTensors(await readWeightFile(path)));
  const weights = toWeights(tensors);
  const encode = async (from: typeof weights, options: LoadOptions) => {
    const encoder = await engine.loadTextEncoder('t5', readT5Config(tensors, path), from, options);
    const states: Float32Array[] = [];
    for (const length of [3, 40, 3]) {
      const { hidden } = await encoder.encode(Int32Array.from({ length }, (_, i) => i * 13));
      states.push(hidden[0]!.data);
    }
    await encoder.close();
    return states;
  };
  const whole = await encode(weights, {});
  for (const keep of [0, 0.5])
    expect(await encode(shiftWeights(weights), { stream: true, keep })).toEqual(whole);
});
