// LoRA files on a loaded model: set, exchanged and taken away again without reloading it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planModel } from '../../src/families/index.js';
import type { Engine } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { testDevice } from '../device.js';
import { assertClose, element, goldenCase, toleranceOf } from '../golden.js';

const golden = goldenCase('lora-sd1');
const base = goldenCase('e2e-sd1');

describe.skipIf(!golden.present || !base.present)(`lora-sd1 ${golden.reason}`, () => {
  let engine: Engine;
  let model: LoadedModel;
  const warnings: string[] = [];

  beforeAll(async () => {
    const files = { model: base.path('model.safetensors') };
    const plan = await planModel(files, { textHeads: 2 });
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    model = new LoadedModel(engine, files, plan, { log: (_, message) => warnings.push(message) });
  });
  afterAll(async () => {
    await model?.close();
    await engine?.close();
  });

  async function predict(): Promise<Float32Array> {
    const inputs = golden.tensors('inputs.safetensors');
    const denoiser = await model.loadDenoiser();
    const conditioning = await denoiser.condition({ context: element(inputs.get('context')!, 0) });
    const [out] = await denoiser.predict(element(inputs.get('x')!, 0), inputs.get('t')!.data[0]!, [
      conditioning,
    ]);
    conditioning.close();
    return out!.data;
  }

  const prompt = { prompt: 'a fox', negativePrompt: '', guidance: 1, clipSkip: 1, width: 64, height: 64 };
  const encode = async () => (await model.encodePrompts(prompt, undefined)).positive.context.data;

  it.each([
    [[], 'base.out'],
    [['kohya.safetensors'], 'kohya.out'],
    [['peft.safetensors'], 'peft.out'],
    [[], 'base.out'],
  ])('%j gives %s', async (files, name) => {
    await model.useLoras(files.map((file) => ({ path: golden.path(file), strength: 0.8 })));
    const expected = golden.tensors('expected.safetensors').get(name)!.data;
    assertClose(await predict(), expected, toleranceOf(golden, name, 'f16_gemm'));
  });

  it('changes the text states too, and remembers which are whose', async () => {
    await model.useLoras([]);
    const plain = await encode();
    await model.useLoras([{ path: golden.path('kohya.safetensors'), strength: 0.8 }]);
    expect(await encode()).not.toEqual(plain);
    await model.useLoras([]);
    expect(await encode()).toEqual(plain);
  });

  it('reaches networks that are loaded later', async () => {
    await model.close();
    await model.useLoras([{ path: golden.path('peft.safetensors'), strength: 0.8 }]);
    const expected = golden.tensors('expected.safetensors').get('peft.out')!.data;
    assertClose(await predict(), expected, toleranceOf(golden, 'peft.out', 'f16_gemm'));
  });

  it('leaves the model usable when a file is refused', async () => {
    await model.useLoras([]);
    const wrong = model.useLoras([{ path: base.path('model.safetensors'), strength: 1 }]);
    await expect(wrong).rejects.toMatchObject({ code: 'WEIGHTS_INVALID' });
    const expected = golden.tensors('expected.safetensors').get('base.out')!.data;
    assertClose(await predict(), expected, toleranceOf(golden, 'base.out', 'f16_gemm'));
  });
});
