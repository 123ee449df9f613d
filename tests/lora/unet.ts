// The golden UNet with updates, and with their merged weights for comparison.
import { join } from 'node:path';
import { expect } from 'vitest';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { element, goldenCase, groupsOf, relativeDifference } from '../golden.js';
import { planSd1 } from '../golden-plans.js';
import { type Operations, operations, withEngine } from '../native/networks.js';
import { add, type Matrix, matrix } from './algebra.js';
import type { FileTensor, MakeUpdate, Weight } from './kinds.js';

const { decode, encode, writeSafetensors } = fixtures;

export const golden = goldenCase('unet-sd1');
export const modelFile = golden.weights();
export const prefix = 'model.diffusion_model.';

/** A self-attention and a cross-attention projection, a feed-forward, and a time embedding. */
export const matrices = [
  'input_blocks.1.1.transformer_blocks.0.attn1.to_q',
  'input_blocks.1.1.transformer_blocks.0.attn2.to_v',
  'input_blocks.1.1.transformer_blocks.0.ff.net.2',
  'input_blocks.1.0.emb_layers.1',
];
/** A kernel of a residual block, a downsampling one, and one of another width. */
export const kernels = ['input_blocks.1.0.in_layers.2', 'input_blocks.3.0.op', 'middle_block.0.out_layers.3'];

export type Stored = Map<string, FileTensor>;

/** A weight with its values in the file, or `values` if the tensor is stored otherwise (scaled, quantised). */
export function weightOf(stored: Stored, module: string, values?: ArrayLike<number>): Weight {
  const tensor = stored.get(`${prefix}${module}.weight`)!;
  const [rows = 1, inputs = 1, ...kernel] = tensor.shape;
  const taps = kernel.reduce((product, n) => product * n, 1);
  return { ...matrix(rows, inputs * taps, values ?? decode(tensor)), inputs, taps };
}

/** W + strength (W' - W). */
export function atStrength(weight: Matrix, merged: Matrix, strength: number): Float64Array {
  return add(weight, add(merged, weight, -1), strength).values;
}

/** Puts the updates of modules in one file, and merges them into the weights. */
export function makeUpdates(
  make: MakeUpdate,
  weights: ReadonlyMap<string, Weight>,
  strength: number,
): { update: Stored; merged: Map<string, Float64Array> } {
  const update: Stored = new Map();
  const merged = new Map<string, Float64Array>();
  let seed = 1;
  for (const [module, weight] of weights) {
    const made = make(weight, seed++);
    for (const [ending, tensor] of Object.entries(made.tensors))
      update.set(`lora_unet_${module.replaceAll('.', '_')}.${ending}`, tensor);
    merged.set(module, atStrength(weight, made.merged, strength));
  }
  return { update, merged };
}

/** The model's tensors, some of them replaced by these values. */
export function withWeights(
  stored: Stored,
  merged: ReadonlyMap<string, ArrayLike<number>>,
  dtype: string,
): Stored {
  const tensors = new Map(stored);
  for (const [module, values] of merged) {
    const name = `${prefix}${module}.weight`;
    tensors.set(name, encode(values, stored.get(name)!.shape, dtype));
  }
  return tensors;
}

export function writeModel(folder: string, name: string, tensors: Stored): string {
  const path = join(folder, name);
  writeSafetensors(path, tensors);
  return path;
}

interface Run {
  loras?: { path: string; strength: number }[];
  memoryMode?: 'full' | 'stream';
  chosen?: Operations;
  /** The model's result without LoRAs, which it must give again once they are removed. */
  plain?: Float32Array;
}

/** The UNet's prediction. */
export async function predict(
  model: string,
  { loras = [], memoryMode = 'full', chosen = operations[0]!, plain }: Run = {},
): Promise<Float32Array> {
  let found!: Float32Array;
  await withEngine(chosen, async (engine) => {
    const files = { model };
    const loaded = new LoadedModel(engine, files, await planSd1(model));
    await loaded.useLoras(loras);
    expect(loaded.notes).toEqual([]);
    await loaded.load({ memoryMode, width: 64, height: 64 });
    const { inputs } = golden;
    const [group] = groupsOf(inputs, 'x');
    const of = (name: string) => element(inputs.get(group + name)!, 0);
    const denoiser = await loaded.loadDenoiser();
    const run = async () => {
      const conditioning = await denoiser.condition({ context: of('context') });
      const [prediction] = await denoiser.predict(of('x'), 500, [conditioning]);
      conditioning.close();
      return prediction!.data;
    };
    found = await run();
    if (plain) {
      await loaded.useLoras([]);
      expect(relativeDifference(await run(), plain)).toBeLessThan(1e-6);
    }
    await loaded.close();
  });
  return found;
}
