// Every weight that LoRA files can name: an update of it alone changes the result as the merged weight does.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { makeLayouts } from '../../scripts/fixtures/layouts.mjs';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import { planModel } from '../../src/families/index.js';
import { resolveLora } from '../../src/families/lora/resolve.js';
import type { LoraTarget } from '../../src/families/lora/target.js';
import { listLoraTargets } from '../../src/families/lora/targets.js';
import type { FluxConfig } from '../../src/families/networks/flux.js';
import type { UnetConfig } from '../../src/families/networks/unet.js';
import type { ModelFiles, ModelPlan, NetworkPlan } from '../../src/families/types.js';
import type { Denoiser, Engine, Tensor, TextEncoder, Weights } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { onCpu, testDevice } from '../device.js';
import { makeFolder } from '../folder.js';
import { goldenCase } from '../golden.js';
import type { FileTensor } from '../lora/kinds.js';

const { decode, encode, randomTensor, writeSafetensors } = fixtures;
const out = makeFolder('lora-targets');
/** SDXL has both CLIPs and a UNet as the other Stable Diffusions, FLUX.1 T5, FLUX.2 a language model. */
const chosen = ['sdxl', 'flux', 'flux2'];
const models: Record<string, Record<string, ModelFiles>> = makeLayouts(goldenCase, out, chosen);

/** What is changed in one place: a weight, or a bias. */
interface Place extends LoraTarget {
  name: string;
  part: 'weight' | 'bias';
}

/** Each place once, under the first of its names. */
function listPlaces(plan: ModelPlan): Place[] {
  const places = new Map<string, Place>();
  for (const [name, target] of listLoraTargets(plan)) {
    const key = JSON.stringify(target);
    if (places.has(key)) continue;
    places.set(key, { ...target, name, part: 'weight' });
    if (target.bias) places.set(`${key} bias`, { ...target, tensor: target.bias, name, part: 'bias' });
  }
  return [...places.values()];
}

const networkOf = (plan: ModelPlan, { network }: LoraTarget): NetworkPlan =>
  network === 'denoiser' ? plan.denoiser : plan.textEncoders[network]!;

/** The whole tensor's values and shape, parts put together. */
function readTensor({ weights }: NetworkPlan, name: string): { shape: number[]; values: Float32Array } {
  const parts = weights.tensors.filter((entry) => entry.name === name);
  const pieces = parts.map(({ file, offset, type, shape }): Float32Array => {
    const bytes = shape.reduce((a, b) => a * b, { f32: 4, f16: 2, bf16: 2 }[type]!);
    const data = readFileSync(weights.files[file]!).subarray(offset, offset + bytes);
    return decode({ dtype: type.toUpperCase(), data });
  });
  const values = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    values.set(piece, at);
    at += piece.length;
  }
  const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  return { shape: [rows, ...parts[0]!.shape.slice(1)], values };
}

/** The network's weights with another tensor in the place of one. */
function withTensor({ weights }: NetworkPlan, name: string, shape: number[], values: Float32Array): Weights {
  const path = join(out, 'merged.safetensors');
  writeSafetensors(path, new Map([[name, encode(values, shape, 'F32')]]));
  const offset = 8 + Number(readFileSync(path).readBigUInt64LE());
  const others = weights.tensors.filter((entry) => entry.name !== name);
  const own = { name, file: weights.files.length, offset, type: 'f32', shape };
  return { files: [...weights.files, path], tensors: [...others, own] };
}

/** An update of the place's own rows, and the values that it makes of the whole tensor. */
function makeUpdate(
  place: Place,
  { shape, values }: { shape: number[]; values: Float32Array },
  seed: number,
) {
  const [all = 1, ...rest] = shape;
  const [first, count] = [place.row ?? 0, place.rows ?? all];
  const columns = rest.reduce((a, b) => a * b, 1);
  const [rows, inputs] = place.transposed ? [columns, all] : [count, columns];
  const size = values.reduce((sum, v) => sum + v * v, 0) / values.length;
  const strong = 0.5 * Math.sqrt(size) + 0.05;
  const tensors: Record<string, FileTensor> = {};
  const random = (ending: string, dims: number[], by: number): Float32Array => {
    const made = decode(randomTensor(seed++, dims, by));
    tensors[ending] = encode(made, dims, 'F32');
    return made;
  };
  let difference: (row: number, column: number) => number;
  if (place.part === 'bias' || rest.length === 0) {
    const added = random(place.part === 'bias' ? 'diff_b' : 'diff', [rows], strong);
    difference = (row) => added[row]!;
  } else {
    const up = random('lora_up.weight', [rows, 2, ...rest.slice(1).map(() => 1)], strong);
    const down = random(
      'lora_down.weight',
      [2, inputs, ...rest.slice(1)].slice(0, 1).concat(place.transposed ? [inputs] : rest),
      1,
    );
    difference = (row, column) => up[2 * row]! * down[column]! + up[2 * row + 1]! * down[inputs + column]!;
  }
  const merged = Float32Array.from(values);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < inputs; column++) {
      const turned = place.swapped ? (row + rows / 2) % rows : row;
      const at = place.transposed ? column * rows + row : (first + turned) * columns + column;
      merged[at]! += difference(row, column);
    }
  return { tensors, merged };
}

function waves(...shape: number[]): Tensor {
  const length = shape.reduce((a, b) => a * b, 1);
  return { data: Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7)), shape };
}

async function predict(denoiser: Denoiser, plan: ModelPlan): Promise<Float32Array> {
  const { kind, config } = plan.denoiser;
  const { contextWidth, vectorWidth } = config as UnetConfig | FluxConfig;
  const conditioning = await denoiser.condition({
    context: waves(kind === 'flux' ? 20 : 77, contextWidth),
    ...(vectorWidth > 0 && { vector: waves(vectorWidth) }),
    ...((config as FluxConfig).guidance && { guidance: 3.5 }),
  });
  const latent = waves(plan.latent.channels, 64 / plan.latent.factor, 64 / plan.latent.factor);
  const [predicted] = await denoiser.predict(latent, kind === 'flux' ? 0.5 : 500, [conditioning]);
  conditioning.close();
  return predicted!.data;
}

/** States and, where there is one, the pooled vector. */
async function encodeText(
  encoder: TextEncoder,
  { kind, config, layers }: ModelPlan['textEncoders'][number],
): Promise<Float32Array> {
  const { vocab } = config as { vocab: number };
  const tokens =
    kind === 'clip'
      ? Int32Array.from({ length: 77 }, (_, i) => (i === 0 ? vocab - 2 : i < 9 ? 1000 + 37 * i : vocab - 1))
      : Int32Array.from({ length: 12 }, (_, i) => 3 + 11 * i);
  const { hidden, pooled } = await encoder.encode(tokens, {
    layers,
    ...(kind === 'causal_lm' && { norm: false }),
  });
  return Float32Array.from([...hidden.flatMap(({ data }) => [...data]), ...(pooled?.data ?? [])]);
}

async function load(
  engine: Engine,
  plan: ModelPlan,
  place: LoraTarget,
  weights = networkOf(plan, place).weights,
) {
  const { kind, config } = networkOf(plan, place);
  if (place.network === 'denoiser') {
    const module = await engine.loadDenoiser(kind, config, weights);
    return { module, run: () => predict(module, plan) };
  }
  const encoder = plan.textEncoders[place.network]!;
  const module = await engine.loadTextEncoder(kind, config, weights);
  return { module, run: () => encodeText(module, encoder) };
}

const distance = (a: Float32Array, b: Float32Array) =>
  Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]!) ** 2, 0) / b.reduce((sum, v) => sum + v * v, 0));

describe.each(chosen)('%s', (name) => {
  test('each place alone', async () => {
    const plan = await planModel(Object.values(models[name]!)[0]!);
    const engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
    const wrong: string[] = [];
    let unchanged = 0;
    const places = listPlaces(plan);
    try {
      for (const network of ['denoiser' as const, ...plan.textEncoders.keys()]) {
        const own = places.filter((place) => place.network === network);
        const { module, run } = await load(engine, plan, own[0]!);
        const plain = await run();
        for (const [seed, place] of own.entries()) {
          const tensor = readTensor(networkOf(plan, place), place.tensor);
          const { tensors, merged } = makeUpdate(place, tensor, 10 * seed);
          const path = join(out, 'update.safetensors');
          writeSafetensors(
            path,
            new Map(Object.entries(tensors).map(([end, t]) => [`${place.name}.${end}`, t])),
          );
          const lora = await resolveLora(path, plan, { denoiser: 1 });
          await module.setLoras([network === 'denoiser' ? lora.denoiser! : lora.textEncoders[network]!]);
          const found = await run();
          const other = await load(
            engine,
            plan,
            place,
            withTensor(networkOf(plan, place), place.tensor, tensor.shape, merged),
          );
          const expected = await other.run();
          await other.module.close();
          const change = distance(expected, plain);
          const error = distance(found, expected);
          if (change === 0) unchanged++;
          const room = onCpu ? 1e-4 : 5e-3;
          if (!(error <= room + 0.02 * change))
            wrong.push(`${place.name} ${place.part}: ${error} of ${change}`);
        }
        await module.close();
      }
    } finally {
      await engine.close();
    }
    expect(wrong).toEqual([]);
    // a last block that the family skips, rows of tables that these tokens don't use
    expect(unchanged).toBeLessThan(places.length / 10);
    expect(places.length).toBeGreaterThan(50);
  }, 600_000);
});
