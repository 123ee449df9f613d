// LoRA files on a loaded model: added, exchanged and taken away again without reloading it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { testDevice } from '../device.js';
import { assertClose, element, goldenCase, toleranceOf } from '../golden.js';
import { planSd1 } from '../golden-plans.js';

const golden = goldenCase('lora-sd1');
const { strength } = golden.config<{ strength: number }>();
/** Files and what they make of the base model, which comes first and last. */
const files = Object.keys(golden.facts.files!).filter((file) => !/^(inputs|expected)\./.test(file));
const answerOf = (file: string) => file.replace('.safetensors', '.out');

describe('lora-sd1', () => {
  let engine: Engine;
  let model: LoadedModel;
  const warnings: string[] = [];

  beforeAll(async () => {
    const plan = await planSd1(golden.weights());
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    model = new LoadedModel(engine, { model: golden.weights() }, plan, {
      log: (_, message) => warnings.push(message),
    });
  });
  afterAll(async () => {
    await model?.close();
    await engine?.close();
  });

  async function predict(): Promise<Float32Array> {
    const { inputs } = golden;
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

  const use = (...chosen: string[]) =>
    model.useLoras(chosen.map((file) => ({ path: golden.path(file), strength })));

  async function expectPrediction(name: string): Promise<void> {
    const { data } = golden.expected.get(name)!;
    assertClose(await predict(), data, toleranceOf(golden, name, 'f16_gemm'));
  }

  it.each([
    [[], 'base.out'],
    ...files.map((file): [string[], string] => [[file], answerOf(file)]),
    [[], 'base.out'],
  ])('%j gives %s', async (chosen, name) => {
    await use(...chosen);
    await expectPrediction(name);
  });

  it('changes the text states too, and remembers which states belong to which files', async () => {
    await use();
    const plain = await encode();
    for (const file of files) {
      await use(file);
      expect(await encode()).not.toEqual(plain);
    }
    await use();
    expect(await encode()).toEqual(plain);
  });

  it('reaches networks that are loaded later', async () => {
    await model.close();
    await use(files[0]!);
    await expectPrediction(answerOf(files[0]!));
  });

  it('leaves the model usable when a file is refused', async () => {
    await use();
    const wrong = model.useLoras([{ path: golden.weights(), strength: 1 }]);
    await expect(wrong).rejects.toMatchObject({ code: 'WEIGHTS_INVALID' });
    await expectPrediction('base.out');
  });
});
