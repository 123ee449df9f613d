// A LoCon on quantised convolutions: added to kernels of 8 bits, which keep their values in an order of their own, it
// gives what it gives when added to the F32 kernels.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import { convertModel } from '../../src/families/convert-model.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { readTensorRule } from '../../src/weights/convert-rules.js';
import { makeFolder } from '../folder.js';
import { assertClose, element, goldenCase, groupsOf, relativeDifference, toleranceOf } from '../golden.js';
import { planSd1 } from '../golden-plans.js';
import { operations, withEngine } from './networks.js';

const { decode, encode, randomTensor, readSafetensors, writeSafetensors } = fixtures;
const golden = goldenCase('unet-sd1');
const quantisedCase = goldenCase('quant-unet-sd1');
const strength = 0.7;
const rank = 4;
const alpha = 2;

/** Kernels of every kind: a residual block's, one that halves, one after doubling, and one of one pixel. */
const modules = [
  'input_blocks.1.0.in_layers.2',
  'input_blocks.1.0.out_layers.3',
  'input_blocks.3.0.op',
  'middle_block.0.in_layers.2',
  'output_blocks.2.1.conv',
  'output_blocks.0.0.skip_connection',
];

describe('LoCon on Q8_0 kernels', () => {
  const folder = makeFolder('locon');
  const base = golden.weights();
  const [locon, merged, quantised] = ['locon.safetensors', 'merged.safetensors', 'quantised.gguf'].map(
    (name) => join(folder, name),
  ) as [string, string, string];

  beforeAll(async () => {
    const tensors = readSafetensors(base);
    const updates = new Map();
    for (const [i, module] of modules.entries()) {
      const name = `model.diffusion_model.${module}.weight`;
      const { shape } = tensors.get(name);
      const [out, channels, side] = shape as [number, number, number];
      const per = channels * side * side;
      const down = randomTensor(2 * i, [rank, channels, side, side], per ** -0.5);
      const up = randomTensor(2 * i + 1, [out, rank, 1, 1], 0.5);
      const key = `lora_unet_${module.replaceAll('.', '_')}`;
      updates.set(`${key}.lora_down.weight`, down).set(`${key}.lora_up.weight`, up);
      updates.set(`${key}.alpha`, encode([alpha], [], 'F32'));

      const [a, b, sum]: Float32Array[] = [decode(down), decode(up), decode(tensors.get(name))];
      for (let row = 0; row < out; row++)
        for (let value = 0; value < per; value++) {
          let added = 0;
          for (let r = 0; r < rank; r++) added += b![row * rank + r]! * a![r * per + value]!;
          sum![row * per + value]! += strength * (alpha / rank) * added;
        }
      tensors.set(name, encode(sum!, shape, 'F32'));
    }
    writeSafetensors(locon, updates);
    writeSafetensors(merged, tensors);
    const rule = readTensorRule('diffusion_model.*(in_layers|out_layers|op|conv|skip_connection)=q8_0');
    await convertModel({ input: base, output: quantised, type: 'f16', rules: [rule] });
  });

  const predict = async (chosen: (typeof operations)[number], file: string, loras: string[]) => {
    let found!: Float32Array;
    await withEngine(chosen, async (engine) => {
      const files = { model: file };
      const model = new LoadedModel(engine, files, await planSd1(file));
      await model.useLoras(loras.map((path) => ({ path, strength })));
      expect(model.notes).toEqual([]);
      const { inputs } = golden;
      const [group] = groupsOf(inputs, 'x');
      const of = (name: string) => element(inputs.get(group + name)!, 0);
      const denoiser = await model.loadDenoiser();
      const conditioning = await denoiser.condition({ context: of('context') });
      const [prediction] = await denoiser.predict(of('x'), 500, [conditioning]);
      found = prediction!.data;
      await model.close();
    });
    return found;
  };

  it('quantises the kernels that it updates', async () => {
    const { denoiser } = await planSd1(quantised);
    for (const module of modules) {
      const entry = denoiser.weights.tensors.find(({ name }) => name === `${module}.weight`)!;
      expect(entry.type, module).toBe('q8_0');
      expect(entry.tapsFirst, module).toBe(true);
    }
  });

  it.each(operations)('on $name', async (chosen) => {
    const allowed = toleranceOf(quantisedCase, 'mixed.out', 'f16_gemm');
    const expected = await predict(chosen, merged, []);
    const plain = await predict(chosen, quantised, []);
    expect(relativeDifference(plain, expected)).toBeGreaterThan(10 * allowed.rel_l2);
    assertClose(await predict(chosen, quantised, [locon]), expected, allowed);
  });
});
