// Every kind of update: the model with the file predicts what the model with the merged weights predicts, in memory and
// streamed, and is itself again when the file is taken away.
import { beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import { makeFolder } from '../folder.js';
import { assertClose, relativeDifference } from '../golden.js';
import { kernelKinds, kinds } from '../lora/kinds.js';
import {
  kernels,
  makeUpdates,
  matrices,
  modelFile,
  predict,
  type Stored,
  weightOf,
  withWeights,
  writeModel,
} from '../lora/unet.js';

const { convertFloats, decode, encode, readSafetensors } = fixtures;

describe('LoRA and its kin', () => {
  const folder = makeFolder('lora-kinds');
  let stored: Stored;
  let model: string;
  let plain: Float32Array;

  beforeAll(async () => {
    stored = convertFloats(readSafetensors(modelFile), 'F32');
    model = writeModel(folder, 'model.safetensors', stored);
    plain = await predict(model);
  });

  it.each([...Object.entries(kinds), ...Object.entries(kernelKinds)])('%s', async (name, make) => {
    const modules = name in kernelKinds ? kernels : [...matrices, ...kernels];
    const weights = new Map(modules.map((module) => [module, weightOf(stored, module)]));
    const { update, merged } = makeUpdates(make, weights, 0.7);
    const loras = [{ path: writeModel(folder, 'update.safetensors', update), strength: 0.7 }];
    const expected = await predict(
      writeModel(folder, 'merged.safetensors', withWeights(stored, merged, 'F32')),
    );
    expect(relativeDifference(plain, expected)).toBeGreaterThan(1e-3);
    assertClose(await predict(model, { loras, plain }), expected, { rel_l2: 1e-5 });
    assertClose(await predict(model, { loras, memoryMode: 'stream', plain }), expected, { rel_l2: 1e-5 });
  });

  it('several files change a weight one after the other', async () => {
    const first = new Map(matrices.map((module) => [module, weightOf(stored, module)]));
    const one = makeUpdates(kinds['DoRA along columns']!, first, 0.5);
    const second = new Map(
      matrices.map((module) => [module, weightOf(stored, module, one.merged.get(module)!)]),
    );
    const two = makeUpdates(kinds.LoRA!, second, 1.5);
    const loras = [
      { path: writeModel(folder, 'one.safetensors', one.update), strength: 0.5 },
      { path: writeModel(folder, 'two.safetensors', two.update), strength: 1.5 },
    ];
    const merged = writeModel(folder, 'merged.safetensors', withWeights(stored, two.merged, 'F32'));
    assertClose(await predict(model, { loras, plain }), await predict(merged), { rel_l2: 1e-5 });
  });

  it.each(['LoRA', 'LoHa', 'DoRA along columns'])('%s with a value that is no number', async (kind) => {
    const weights = new Map(matrices.map((module) => [module, weightOf(stored, module)]));
    const { update } = makeUpdates(kinds[kind]!, weights, 1);
    const [key, tensor] = [...update].find(([name]) => /lora_down|hada_w1_b/.test(name))!;
    const values: Float32Array = decode(tensor);
    values[3] = Number.NaN;
    update.set(key, encode(values, tensor.shape, 'F32'));
    const loras = [{ path: writeModel(folder, 'nan.safetensors', update), strength: 1 }];
    await expect(predict(model, { loras })).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
      message: expect.stringMatching(new RegExp(`nan\\.safetensors.*"${key}".*not a number`)),
    });
  });
});
