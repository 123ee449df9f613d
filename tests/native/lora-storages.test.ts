// Updates on weights of every storage: what they give is what they make of the stored values. Merged weights are F16
// where the stored ones have no more precision.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import * as fp8 from '../../scripts/fixtures/fp8.mjs';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import { convertModel } from '../../src/families/convert-model.js';
import { readTensorRule } from '../../src/weights/convert-rules.js';
import { halfToNumber } from '../../src/weights/read-floats.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { makeFolder } from '../folder.js';
import { assertClose, relativeDifference } from '../golden.js';
import { kinds, type Weight } from '../lora/kinds.js';
import {
  kernels,
  makeUpdates,
  matrices,
  modelFile,
  predict,
  prefix,
  type Stored,
  weightOf,
  withWeights,
  writeModel,
} from '../lora/unet.js';
import { operations } from './networks.js';

const { convertFloats, readSafetensors } = fixtures;
const { scaleToFp8, valuesOf } = fp8;

/** One of each way that a changed weight comes about. */
const tried = ['LoRA', 'DoRA along columns', 'LoHa', 'LoKr with a factored second', 'OFT', 'full difference'];
const modules = [...matrices, ...kernels];
const strength = 0.7;

interface Storage {
  model: string;
  /** The values of these modules as they are stored. */
  weights: Map<string, Weight>;
  /** The model with others in their place. */
  merge(merged: ReadonlyMap<string, Float64Array>): Promise<string>;
}

describe('LoRA on stored weights', () => {
  const folder = makeFolder('lora-storages');
  const read = (): Stored => readSafetensors(modelFile);

  async function floats(dtype: string): Promise<Storage> {
    const stored: Stored = convertFloats(read(), dtype);
    return {
      model: writeModel(folder, `${dtype}.safetensors`, stored),
      weights: new Map(modules.map((module) => [module, weightOf(stored, module)])),
      merge: async (merged) => writeModel(folder, 'merged.safetensors', withWeights(stored, merged, 'F16')),
    };
  }

  async function scaledFp8(): Promise<Storage> {
    const { tensors } = scaleToFp8(read(), 'mark', {
      chosen: (name: string, { shape }: { shape: number[] }) => name.startsWith(prefix) && shape.length > 1,
    });
    const values: Stored = valuesOf(tensors);
    return {
      model: writeModel(folder, 'fp8.safetensors', tensors),
      weights: new Map(modules.map((module) => [module, weightOf(values, module)])),
      async merge(merged) {
        const others = new Map<string, never>(tensors);
        for (const module of merged.keys())
          for (const ending of ['scale_weight', 'scale_input']) others.delete(`${prefix}${module}.${ending}`);
        return writeModel(folder, 'merged.safetensors', withWeights(others, merged, 'F16'));
      },
    };
  }

  async function quantised(type: 'q8_0' | 'q4_0'): Promise<Storage> {
    const rules = [readTensorRule(`diffusion_model.*(in_layers|out_layers|op)=${type}`)];
    const model = join(folder, `${type}.gguf`);
    await convertModel({ input: modelFile, output: model, type, rules, force: true });
    const file = await readWeightFile(model);
    const bytes = readFileSync(model);
    const plain = read();
    const weights = new Map(
      modules.map((module) => {
        const tensor = file.tensors.get(`${prefix}${module}.weight`)!;
        expect(tensor.type, module).toBe(type);
        const values = dequantise(type, bytes.subarray(tensor.offset, tensor.offset + tensor.bytes));
        const [, inputs = 1, ...kernel] = tensor.shape;
        const taps = kernel.reduce((product, n) => product * n, 1);
        return [module, weightOf(plain, module, taps > 1 ? tapsLast(values, inputs, taps) : values)] as const;
      }),
    );
    const own = modules.map((module) => readTensorRule(`${module.replaceAll('.', '\\.')}\\.weight=f16`));
    return {
      model,
      weights,
      async merge(merged) {
        const input = writeModel(folder, 'merged.safetensors', withWeights(plain, merged, 'F32'));
        const output = join(folder, 'merged.gguf');
        await convertModel({ input, output, type, rules: [...own, ...rules], force: true });
        return output;
      },
    };
  }

  const storages: [string, () => Promise<Storage>, number][] = [
    ['F16', () => floats('F16'), 1e-3],
    ['BF16', () => floats('BF16'), 1e-3],
    ['scaled FP8', scaledFp8, 1e-3],
    // what comes out of 8-bit products is as exact as those
    ['Q8_0', () => quantised('q8_0'), 5e-3],
    ['Q4_0', () => quantised('q4_0'), 5e-3],
  ];

  it.each(
    storages.flatMap(([name, make, allowed]) =>
      operations.map((chosen) => ({ name, make, allowed, chosen })),
    ),
  )('$name with $chosen.name', async ({ make, allowed, chosen }) => {
    const { model, weights, merge } = await make();
    const plain = await predict(model, { chosen });
    // What 8-bit activations cost this model without any update. A LoRA leaves quantised weights as they are, so it
    // costs as much again; ggml's rounding makes as much of differences in the last digits.
    const asStored = await predict(
      await merge(new Map([...weights].map(([name, { values }]) => [name, values]))),
      {
        chosen,
      },
    );
    const ownRoom = 2 * relativeDifference(plain, asStored);
    for (const kind of tried) {
      const { update, merged } = makeUpdates(kinds[kind]!, weights, strength);
      const loras = [{ path: writeModel(folder, 'update.safetensors', update), strength }];
      const expected = await predict(await merge(merged), { chosen });
      expect(relativeDifference(plain, expected), kind).toBeGreaterThan(4 * allowed);
      const exact = chosen.precision === 'f32' || allowed > 1e-3 ? allowed : 2e-3;
      const rounded = kind === 'LoRA' || chosen.kernels === 'off' ? exact + ownRoom : exact;
      assertClose(await predict(model, { loras, chosen, plain }), expected, { rel_l2: rounded });
      const streamed = await predict(model, { loras, chosen, memoryMode: 'stream', plain });
      assertClose(streamed, expected, { rel_l2: rounded });
    }
  });
});

/** Blocks of 32 values: a scale in F16, then 8 bits each; or 4 bits, the low ones of 16 bytes before the high ones. */
function dequantise(type: 'q8_0' | 'q4_0', bytes: Buffer): Float32Array {
  const size = type === 'q8_0' ? 34 : 18;
  const values = new Float32Array((bytes.length / size) * 32);
  for (let block = 0; block * size < bytes.length; block++) {
    const scale = halfToNumber(bytes.readUInt16LE(block * size));
    for (let i = 0; i < 32; i++) {
      const at = block * size + 2;
      const level =
        type === 'q8_0'
          ? bytes.readInt8(at + i)
          : (i < 16 ? bytes[at + i]! & 15 : bytes[at + i - 16]! >> 4) - 8;
      values[block * 32 + i] = scale * level;
    }
  }
  return values;
}

/** [rows, taps, inputs] as [rows, inputs, taps]. */
function tapsLast(values: Float32Array, inputs: number, taps: number): Float32Array {
  return values.map((_, i) => {
    const row = i - (i % (inputs * taps));
    const [input, tap] = [Math.floor((i - row) / taps), i % taps];
    return values[row + tap * inputs + input]!;
  });
}
