// Every storage is read as an independent reader reads it: GGUF's types against the gguf package, the forms of published
// safetensors files against writers of our own that follow their descriptions.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { integers, mxfp8, nvfp4, scaledFp8 } from '../../scripts/fixtures/quantised.mjs';
// @ts-expect-error plain JavaScript
import { writeSafetensors } from '../../scripts/fixtures/tensors.mjs';
import { openSources } from '../../src/families/sources.js';
import { bytesInMemory, compose, sliceRows, type TensorView, toWeights } from '../../src/families/tensors.js';
import { loadAddon } from '../../src/native/binding.js';
import { convertWeights } from '../../src/weights/convert.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { handlingOf, tensorTypes } from '../../src/weights/tensor-types.js';
import { makeFolder } from '../folder.js';
import { maxDifference } from '../golden.js';
import { array, gguf, u32 } from '../unit/weights/make-files.js';

const { readValues } = loadAddon();
const folder = makeFolder('storages');
let files = 0;
const newPath = (ending: string) => join(folder, `${files++}.${ending}`);

const valuesOf = (view: TensorView, first = 0, count = view.shape.length > 1 ? view.shape[0]! : 1) =>
  readValues(toWeights(new Map([['x', view]])), first, count);

/** Through the converter too, which must give the same values. */
async function convertedValues(view: TensorView): Promise<Float32Array> {
  const output = newPath('gguf');
  await convertWeights({ tensors: [{ ...view, name: 'x' }], output, type: 'f32', metadata: new Map() });
  const { tensors } = await readWeightFile(output);
  return valuesOf({ path: output, ...tensors.get('x')! });
}

describe('GGUF', () => {
  interface Stored {
    number: number;
    blocks: string;
    values: string;
  }
  const fixture = resolve(import.meta.dirname, '../fixtures/ggml-types/types.json');
  const { shape, types }: { shape: number[]; types: Record<string, Stored> } = JSON.parse(
    readFileSync(fixture, 'utf8'),
  );
  const floatsOf = (text: string) => new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);

  test.each(Object.entries(types))('%s', async (type, { number, blocks, values }) => {
    const path = newPath('gguf');
    const dimensions = shape.toReversed();
    const data = Buffer.from(blocks, 'base64');
    writeFileSync(path, gguf([{ name: 'x', dimensions, type: number, offset: 0 }], data));
    const { tensors } = await readWeightFile(path);
    const view = { path, ...tensors.get('x')! };
    expect(view.type).toBe(type);
    expect(handlingOf(type)).toBe(type === 'f64' ? 'widened' : 'in place');
    const expected = floatsOf(values);
    const scale = Math.max(...expected.map(Math.abs));
    expect(maxDifference(valuesOf(view), expected)).toBeLessThan(scale * 1e-6);
    expect(maxDifference(await convertedValues(view), expected)).toBeLessThan(scale * 1e-6);
  });

  test('NVFP4 with a scale of its own', async () => {
    const { number, blocks, values } = types.nvfp4!;
    const path = newPath('gguf');
    const scale = Buffer.alloc(32);
    scale.writeFloatLE(0.125);
    const data = Buffer.from(blocks, 'base64');
    const padded = Buffer.concat([data, Buffer.alloc(-data.length & 31)]);
    const entries = [
      { name: 'a.weight', dimensions: shape.toReversed(), type: number, offset: 0 },
      { name: 'a.scale', dimensions: [1], type: 0, offset: padded.length },
    ];
    writeFileSync(path, gguf(entries, Buffer.concat([padded, scale])));
    const [source] = await openSources({ model: path });
    expect([...source!.tensors.keys()]).toEqual(['a.weight']);
    const view = source!.tensors.get('a.weight')!;
    const expected = floatsOf(values).map((value) => value * 0.125);
    expect(maxDifference(valuesOf(view), expected)).toBeLessThan(1e-6);
    expect(bytesInMemory(view)).toBe(2 * expected.length);
  });

  describe('tensors in rows of 256 that run across the real rows', () => {
    const { number, blocks, values } = types.q4_k!;
    const expected = floatsOf(values);
    const open = async (original: number[]) => {
      const path = newPath('gguf');
      const key = 'comfy.gguf.orig_shape.x';
      const field = array(5, original.map(u32));
      const entry = { name: 'x', dimensions: shape.toReversed(), type: number, offset: 0 };
      writeFileSync(path, gguf([entry], Buffer.from(blocks, 'base64'), [[key, 9, field]]));
      const file = await readWeightFile(path);
      return { path, ...file.tensors.get('x')! };
    };

    it.each([[[8, 64]], [[2, 4, 8, 8]], [[512]], [[16, 2, 16, 1, 1]]])('%j', async (original) => {
      const view = await open(original);
      expect(view.shape).toEqual(original);
      if (original.length > 4) {
        await expect(async () => valuesOf(view)).rejects.toThrow('5 dimensions');
      } else {
        expect(valuesOf(view)).toEqual(expected);
      }
      if (original.length <= 4) expect(await convertedValues(view)).toEqual(expected);
    });

    it('in slices that begin and end inside of blocks, and are put together again', async () => {
      const view = await open([8, 64]);
      const [one, two] = [sliceRows(view, 3, 5), sliceRows(view, 0, 3)];
      expect(valuesOf(one)).toEqual(expected.slice(3 * 64));
      expect(valuesOf(sliceRows(one, 2, 2))).toEqual(expected.slice(5 * 64, 7 * 64));
      const whole = compose('x', [one, two]);
      expect(valuesOf(whole, 0, 8)).toEqual(
        Float32Array.from([...expected.slice(3 * 64), ...expected.slice(0, 3 * 64)]),
      );
      expect(valuesOf(whole, 4, 3)).toEqual(
        Float32Array.from([...expected.slice(7 * 64), ...expected.slice(0, 2 * 64)]),
      );
    });

    it('stay as they are where the same type is asked for', async () => {
      const view = await open([8, 64]);
      const output = newPath('gguf');
      await convertWeights({ tensors: [{ ...view, name: 'x' }], output, type: 'q4_k', metadata: new Map() });
      const { tensors } = await readWeightFile(output);
      expect(tensors.get('x')).toMatchObject({ type: 'q4_k', shape: [8, 64], skip: 0 });
      expect(valuesOf({ path: output, ...tensors.get('x')! })).toEqual(expected);
    });
  });

  it('1 x 1 kernels of whole blocks are used in place', async () => {
    const path = newPath('gguf');
    const { number, blocks, values } = types.q8_0!;
    const field = array(5, [8, 64, 1, 1].map(u32));
    const entry = { name: 'x', dimensions: shape.toReversed(), type: number, offset: 0 };
    writeFileSync(
      path,
      gguf([entry], Buffer.from(blocks, 'base64'), [['comfy.gguf.orig_shape.x', 9, field]]),
    );
    const view = { path, ...(await readWeightFile(path)).tensors.get('x')! };
    expect(view).toMatchObject({ shape: [8, 64, 1, 1], tapsFirst: true });
    expect(bytesInMemory(view)).toBe(view.bytes);
    expect(valuesOf(view)).toEqual(floatsOf(values));
  });
});

interface Quantised {
  tensors: Map<string, object>;
  values: Float32Array;
}

const forms: [
  name: string,
  make: (module: string, rows: number, columns: number) => Quantised,
  storage?: string,
][] = [
  ['NVFP4 as ComfyUI has it', (m, r, c) => nvfp4(m, r, c, 1), 'NVFP4'],
  ['MXFP8 with scales in bytes', (m, r, c) => mxfp8(m, r, c, 2), 'MXFP8'],
  ['MXFP8 with scales in E8M0', (m, r, c) => mxfp8(m, r, c, 3, 'F8_E8M0'), 'MXFP8'],
  ['INT8 with one scale', (m, r, c) => integers(m, r, c, 4, { scale: 'tensor' }), 'INT8'],
  ['INT8 with a scale a row', (m, r, c) => integers(m, r, c, 5), 'INT8'],
  ['INT8 with a scale a block', (m, r, c) => integers(m, r, c, 6, { scale: 'block', block: 64 }), 'INT8'],
  ['INT8 with ConvRot', (m, r, c) => integers(m, r, c, 7, { rotation: 256 }), 'INT8 (ConvRot)'],
  [
    'INT8 with ConvRot in groups of 64',
    (m, r, c) => integers(m, r, c, 8, { rotation: 64 }),
    'INT8 (ConvRot)',
  ],
  ['INT4 with ConvRot', (m, r, c) => integers(m, r, c, 9, { rotation: 256, bits: 4 }), 'INT4 (ConvRot)'],
  ['FP8 with a scale a row', (m, r, c) => scaledFp8(m, r, c, 10), 'FP8 with row scales'],
  [
    'FP8 with a scale a row, as ComfyUI notes it',
    (m, r, c) => scaledFp8(m, r, c, 11, { format: 'float8_e4m3fn_rowwise' }),
    'FP8 with row scales',
  ],
  [
    'FP8 with a scale a block of 64',
    (m, r, c) => scaledFp8(m, r, c, 12, { scale: 'block', block: 64, format: 'float8_e4m3fn_blockwise' }),
    'FP8 with block scales',
  ],
  [
    'FP8 with a scale a block of 128, as language models have it',
    (m, r, c) => scaledFp8(m, r, c, 13, { scale: 'block', name: 'weight_scale_inv', dtype: 'BF16' }),
    'FP8 with block scales',
  ],
  [
    'FP8 E5M2 with a scale a group of a row',
    (m, r, c) => scaledFp8(m, r, c, 14, { scale: 'group', block: 32, dtype: 'F16', type: 'F8_E5M2' }),
    'FP8 with group scales',
  ],
];

describe('safetensors', () => {
  const sizes: [number, number][] = [
    [32, 256],
    [200, 512],
  ];
  test.each(forms)('%s', async (_, make, storage) => {
    for (const [rows, columns] of sizes) {
      const { tensors, values } = make('blocks.0.a', rows, columns);
      const path = newPath('safetensors');
      writeSafetensors(path, tensors);
      const [source] = await openSources({ model: path });
      expect([...source!.tensors.keys()]).toEqual(['blocks.0.a.weight']);
      const view = source!.tensors.get('blocks.0.a.weight')!;
      expect(view.shape).toEqual([rows, columns]);
      expect(view.storage).toBe(storage);
      expect(bytesInMemory(view)).toBe(2 * rows * columns);
      const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      expect(maxDifference(valuesOf(view), values)).toBeLessThan(most * 1e-6);
      expect(maxDifference(await convertedValues(view), values)).toBeLessThan(most * 1e-6);
      // rows of a fused matrix keep their own scales
      const half = rows / 2;
      const swapped = compose('x', [sliceRows(view, half, half), sliceRows(view, 0, half)]);
      const turned = valuesOf(swapped, 0, rows);
      expect(maxDifference(turned.slice(half * columns), values.slice(0, half * columns))).toBeLessThan(
        most * 1e-6,
      );
      expect(maxDifference(turned.slice(0, half * columns), values.slice(half * columns))).toBeLessThan(
        most * 1e-6,
      );
    }
  });

  it("NVFP4 of NVIDIA's tool is read where config.json names it", async () => {
    const { tensors, values } = nvfp4('a', 128, 256, 20, 'modelopt') as Quantised;
    const inside = makeFolder('modelopt');
    const path = join(inside, 'model.safetensors');
    writeSafetensors(path, tensors);
    await expect(openSources({ model: path })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('NVFP4'),
    });
    writeFileSync(
      join(inside, 'config.json'),
      JSON.stringify({ quantization_config: { quant_method: 'modelopt', quant_algo: 'NVFP4' } }),
    );
    const [source] = await openSources({ model: path });
    expect(maxDifference(valuesOf(source!.tensors.get('a.weight')!), values)).toBeLessThan(1e-5);
  });

  it('parts of different storages make one matrix', async () => {
    const one = nvfp4('a', 64, 256, 21) as Quantised;
    const two = integers('b', 32, 256, 22, { rotation: 256 }) as Quantised;
    const path = newPath('safetensors');
    writeSafetensors(path, new Map([...one.tensors, ...two.tensors]));
    const [source] = await openSources({ model: path });
    const views = ['a', 'b'].map((module) => source!.tensors.get(`${module}.weight`)!);
    const found = valuesOf(compose('x', views), 0, 96);
    const expected = Float32Array.from([...one.values, ...two.values]);
    expect(maxDifference(found, expected)).toBeLessThan(1e-5);
  });
});

describe('every type', () => {
  const path = newPath('bin');
  writeFileSync(path, Buffer.alloc(1 << 13));
  test.each([...tensorTypes.keys()])('%s is handled as the table says', (type) => {
    const { bytes, block } = tensorTypes.get(type)!;
    const view = { path, type, shape: [2, 256], offset: 0, bytes: (512 / block) * bytes };
    if (handlingOf(type) === 'refused') expect(() => valuesOf(view)).toThrow(type);
    else expect(valuesOf(view)).toHaveLength(512);
    if (handlingOf(type) === 'widened') expect(bytesInMemory(view)).toBe(512 * (type === 'f64' ? 4 : 2));
  });
});
