// Networks whose weights are copied piece by piece into the memory that they compute in give the values of networks that
// are loaded whole. On the CPU alone: other devices add up in another order when a graph is cut.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planModel } from '../../src/families/index.js';
import type { Engine, LoadOptions } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { onCpu, testDevice } from '../device.js';
import { goldenCase } from '../golden.js';
import { readT5 } from '../golden-networks.js';
import { filesOfKlein, planKlein, planSd1 } from '../golden-plans.js';
import { testModel } from '../test-model.js';
import { shiftPlan, shiftWeights } from './shifted.js';

let engine: Engine;
beforeAll(() => {
  engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
});
afterAll(() => engine.close());

const lora = goldenCase('lora-sd1');
const models = [
  {
    name: 'the embedded model',
    files: testModel,
    plan: () => planModel(testModel),
    options: { guidance: 3 },
  },
  {
    name: 'SD 1.x with a LoRA',
    files: { model: goldenCase('e2e-sd1').weights() },
    plan: () => planSd1(),
    options: { loras: [{ path: lora.path('kohya.safetensors'), strength: 0.8 }] },
  },
  { name: 'FLUX.2 with Qwen3', files: filesOfKlein(), plan: () => planKlein(64), options: {} },
];

describe.each(models)('$name', ({ files, plan: makePlan, options }) => {
  it.runIf(onCpu)('draws the same pictures (needs the CPU)', async () => {
    const plan = await makePlan();
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

it.runIf(onCpu)('T5 encodes texts of any length to the same states (needs the CPU)', async () => {
  const { config, weights } = await readT5(goldenCase('t5-encoder'), 'safetensors');
  const encode = async (from: typeof weights, options: LoadOptions) => {
    const encoder = await engine.loadTextEncoder('t5', config, from, options);
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
