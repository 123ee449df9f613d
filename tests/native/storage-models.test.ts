// Networks compute from every storage what they compute from the values that it stands for: loaded, streamed, converted.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { foldToQ8, integers, mxfp8, nvfp4, scaledFp8 } from '../../scripts/fixtures/quantised.mjs';
import {
  below,
  encode,
  readSafetensors,
  rename,
  writeGguf,
  writeSafetensors,
  // @ts-expect-error plain JavaScript
} from '../../scripts/fixtures/tensors.mjs';
import { convertModel } from '../../src/families/convert-model.js';
import { findNetworks } from '../../src/families/find-networks.js';
import { readFluxConfig } from '../../src/families/networks/flux.js';
import { headSize, readUnetConfig } from '../../src/families/networks/unet.js';
import { openSources } from '../../src/families/sources.js';
import { totalInMemory, toWeights } from '../../src/families/tensors.js';
import type { Engine, LoadOptions, Tensor } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { testDevice } from '../device.js';
import { makeFolder } from '../folder.js';
import { goldenCase, relativeDifference } from '../golden.js';

const folder = makeFolder('storage-models');
const prefix = 'model.diffusion_model.';
let engine: Engine;
beforeAll(() => {
  engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
});
afterAll(() => engine.close());

interface Stored {
  dtype: string;
  shape: number[];
  data: Buffer;
}
type Stores = Map<string, Stored>;

function waves(...shape: number[]): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return { data: Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7)), shape };
}

/** One prediction of the file's denoiser, and the bytes that its weights take. */
async function predict(model: string, options?: LoadOptions): Promise<{ data: Float32Array; bytes: number }> {
  const [source] = await openSources({ model });
  const network = findNetworks(source!).find(({ kind }) => kind === 'unet' || kind === 'flux')!;
  const { kind, tensors } = network;
  const config =
    kind === 'flux'
      ? readFluxConfig(tensors, model)
      : readUnetConfig(tensors, model, { normGroups: 32, headDim: headSize(tensors) });
  const denoiser = await engine.loadDenoiser(kind, config, toWeights(tensors), options);
  const { contextWidth, vectorWidth } = config;
  const conditioning = await denoiser.condition({
    context: waves(kind === 'flux' ? 20 : 77, contextWidth),
    ...(vectorWidth > 0 && { vector: waves(vectorWidth) }),
    ...('guidance' in config && config.guidance && { guidance: 3.5 }),
  });
  const channels = kind === 'flux' ? 16 : 4;
  const [predicted] = await denoiser.predict(waves(channels, 16, 12), kind === 'flux' ? 0.5 : 500, [
    conditioning,
  ]);
  await denoiser.close();
  return { data: predicted!.data, bytes: totalInMemory(tensors) };
}

async function converted(input: string, type: string): Promise<string> {
  const output = join(folder, `${Math.random()}.gguf`);
  await convertModel({ input, output, type });
  return output;
}

const unets = [
  ['SD 1.x', goldenCase('e2e-sd1'), 'model.safetensors'],
  ['SDXL', goldenCase('unet-sdxl'), 'model.safetensors'],
] as const;

describe.each(unets)('%s in GGUF with blocks across rows', (name, golden, file) => {
  test('computes from its values', async () => {
    const tensors: Stores = below(readSafetensors(golden.path(file)), prefix);
    const { stored, values, metadata } = foldToQ8(tensors);
    expect(Object.keys(metadata).length).toBeGreaterThan(50);
    const at = (ending: string) => join(folder, `${name.replace(/\W/g, '')}.${ending}`);
    writeGguf(at('gguf'), stored, { 'general.architecture': name === 'SDXL' ? 'sdxl' : 'sd1', ...metadata });
    writeSafetensors(
      at('safetensors'),
      rename(values, (tensor: string) => prefix + tensor),
    );
    const expected = (await predict(at('safetensors'))).data;
    const found = await predict(at('gguf'));
    // products with blocks round what goes into them to 8 bits
    expect(relativeDifference(found.data, expected)).toBeLessThan(0.02);
    expect((await predict(at('gguf'), { stream: true })).data).toEqual(found.data);
    // in the copy the blocks lie as they lay, and the small matrices are rounded; as F32 nothing is
    const copy = await predict(await converted(at('gguf'), 'q8_0'));
    expect(relativeDifference(copy.data, expected)).toBeLessThan(0.05);
    const wide = await predict(await converted(at('gguf'), 'f32'));
    expect(relativeDifference(wide.data, expected)).toBeLessThan(1e-5);
  });
});

type Make = (
  module: string,
  rows: number,
  columns: number,
  seed: number,
) => { tensors: Stores; values: Float32Array };
const makers: [name: string, make: Make][] = [
  ['NVFP4', nvfp4],
  ['MXFP8', mxfp8],
  ['INT8', (m, r, c, s) => integers(m, r, c, s)],
  ['INT8 with ConvRot', (m, r, c, s) => integers(m, r, c, s, { rotation: 64 })],
  ['INT4 with ConvRot', (m, r, c, s) => integers(m, r, c, s, { rotation: 64, bits: 4 })],
  [
    'FP8 with block scales',
    (m, r, c, s) => scaledFp8(m, r, c, s, { scale: 'block', name: 'weight_scale_inv' }),
  ],
];
const flux = goldenCase('flux1-schnell');

describe('FLUX', () => {
  /** Every matrix inside of a block in that storage, and what they stand for. */
  function quantise(make: Make): { stored: Stores; values: Stores } {
    const tensors: Stores = readSafetensors(flux.path('model.safetensors'));
    const [stored, values]: Stores[] = [new Map(), new Map()];
    let seed = 0;
    for (const [name, tensor] of tensors) {
      const { shape } = tensor;
      if (!/blocks\.\d+\.(.*\.)?(qkv|proj|0|2|linear\d)\.weight$/.test(name) || shape.length !== 2) {
        for (const set of [stored, values]) set!.set(name, tensor);
        continue;
      }
      const module = name.slice(0, -'.weight'.length);
      const made = make(module, shape[0]!, shape[1]!, ++seed);
      for (const [key, value] of made.tensors) stored!.set(key, value);
      values!.set(name, encode(made.values, shape, 'F32'));
    }
    expect(seed).toBeGreaterThan(10);
    return { stored: stored!, values: values! };
  }

  test.each(makers)('in %s computes from its values', async (name, make) => {
    const { stored, values } = quantise(make);
    const at = (ending: string) => join(folder, `${name.replaceAll(' ', '-')}-${ending}`);
    writeSafetensors(at('stored.safetensors'), stored);
    writeSafetensors(at('values.safetensors'), values);
    const expected = (await predict(at('values.safetensors'))).data;
    const found = await predict(at('stored.safetensors'));
    // widened to F16
    expect(relativeDifference(found.data, expected)).toBeLessThan(2e-3);
    expect((await predict(at('stored.safetensors'), { stream: true })).data).toEqual(found.data);
    const wide = await predict(await converted(at('stored.safetensors'), 'f32'));
    expect(relativeDifference(wide.data, expected)).toBeLessThan(1e-4);
    const small = await predict(await converted(at('stored.safetensors'), 'q8_0'));
    expect(relativeDifference(small.data, expected)).toBeLessThan(0.05);
    expect(small.bytes).toBeLessThan(found.bytes);
  });
});
