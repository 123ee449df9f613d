// Quantised safetensors files: every published way to describe their bytes, and what is refused.
// tests/native/storage-values.test.ts tests the values.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { toBytes } from '../../../scripts/fixtures/fp8.mjs';
// @ts-expect-error plain JavaScript
import { encode, writeSafetensors } from '../../../scripts/fixtures/tensors.mjs';
import { openSources } from '../../../src/families/sources.js';
import { makeFolder } from '../../folder.js';

interface Stored {
  dtype: string;
  shape: number[];
  data: Buffer;
}
type Table = Record<string, Stored>;

const folder = makeFolder('fp8');
let files = 0;

async function open(tensors: Table, metadata: Record<string, string> = { format: 'pt' }) {
  const path = join(folder, `${files++}.safetensors`);
  writeSafetensors(path, new Map(Object.entries(tensors)), metadata);
  const [source] = await openSources({ model: path });
  return source!.tensors;
}

const floats = (values: number[], shape: number[], dtype = 'F32'): Stored =>
  encode(Float32Array.from(values), shape, dtype);
const bytes = (dtype: string, ...shape: number[]): Stored => ({
  dtype,
  shape,
  data: Buffer.alloc(
    shape.reduce((a, b) => a * b, 1),
    0x38,
  ),
});
const fp8 = bytes('F8_E4M3', 4, 8);
const note = (format: string) => toBytes(JSON.stringify({ format }));
const scale = floats([0.5], []);
const mark: Stored = { dtype: 'F8_E4M3', shape: [0], data: Buffer.alloc(0) };
const header = (format: string) => ({
  _quantization_metadata: JSON.stringify({ format_version: '1.0', layers: { 'blocks.0.a': { format } } }),
});

describe('the scale of a matrix', () => {
  test.each<[string, Table, Record<string, string>?]>([
    ['with a mark', { scaled_fp8: mark, 'blocks.0.a.scale_weight': scale, 'blocks.0.a.scale_input': scale }],
    [
      'with a mark of two values, below a prefix',
      { 'blocks.scaled_fp8': bytes('F8_E4M3', 2), 'blocks.0.a.scale_weight': scale },
    ],
    [
      'with a note',
      {
        'blocks.0.a.weight_scale': scale,
        'blocks.0.a.input_scale': floats([1], []),
        'blocks.0.a.comfy_quant': note('float8_e4m3fn'),
      },
    ],
    ['with a note in the header', { 'blocks.0.a.weight_scale': scale }, header('float8_e4m3fn')],
    ['alone', { 'blocks.0.a.weight_scale': scale }],
    ['of the shape [1]', { 'blocks.0.a.weight_scale': floats([0.5], [1]) }],
    ['of the shape [1, 1]', { 'blocks.0.a.weight_scale': floats([0.5], [1, 1]) }],
    ['in F16', { 'blocks.0.a.scale_weight': floats([0.5], [], 'F16') }],
    ['in BF16', { 'blocks.0.a.weight_scale': floats([0.5], [1], 'BF16') }],
  ])('%s', async (_, beside, metadata) => {
    const tensors = await open({ 'blocks.0.a.weight': fp8, ...beside }, metadata);
    expect([...tensors.keys()]).toEqual(['blocks.0.a.weight']);
    expect(tensors.get('blocks.0.a.weight')).toMatchObject({ type: 'f8_e4m3', scale: 0.5 });
  });

  test('is refused for tensors that are not FP8, and not needed for plain FP8', async () => {
    const tensors = await open({
      'blocks.0.a.weight': fp8,
      'blocks.0.norm.scale': bytes('F8_E4M3', 8),
      'blocks.0.b.weight': floats([1, 2], [1, 2], 'BF16'),
      'blocks.0.b.comfy_quant': note('float8_e4m3fn'),
      'gone.weight_scale': scale,
    });
    expect([...tensors.keys()]).toEqual(['blocks.0.a.weight', 'blocks.0.norm.scale', 'blocks.0.b.weight']);
    expect([...tensors.values()].every((view) => view.scale === undefined)).toBe(true);
  });

  test('and its note make plain bytes floats', async () => {
    const tensors = await open({
      'blocks.0.a.weight': bytes('U8', 4, 8),
      'blocks.0.a.weight_scale': scale,
      'blocks.0.a.comfy_quant': toBytes(`${JSON.stringify({ format: 'float8_e5m2' })}\0\0`),
    });
    expect(tensors.get('blocks.0.a.weight')).toMatchObject({ type: 'f8_e5m2', scale: 0.5 });
  });
});

describe('a damaged file', () => {
  const two = { 'blocks.0.a.weight': fp8, 'blocks.1.a.weight': fp8 };
  test.each<[string, Table, RegExp]>([
    ['a mark and no scale', { ...two, scaled_fp8: mark }, /blocks\.0\.a\.weight has no scale/],
    [
      'a block without its scale',
      { ...two, scaled_fp8: mark, 'blocks.0.a.scale_weight': scale },
      /blocks\.1\.a\.weight has no scale/,
    ],
    [
      'the same without a mark',
      { ...two, 'blocks.0.a.weight_scale': scale },
      /blocks\.1\.a\.weight has no scale/,
    ],
    [
      'a note and no scale',
      { 'blocks.0.a.weight': fp8, 'blocks.0.a.comfy_quant': note('float8_e4m3fn') },
      /blocks\.0\.a\.weight has no scale/,
    ],
    ['NaN', { ...two, 'blocks.0.a.scale_weight': floats([Number.NaN], []) }, /scale_weight is NaN/],
    ['infinity', { ...two, 'blocks.0.a.weight_scale': floats([Infinity], [1]) }, /weight_scale is Infinity/],
    [
      'NVFP4 without its outer scale',
      {
        'blocks.0.a.weight': bytes('U8', 4, 8),
        'blocks.0.a.weight_scale': bytes('F8_E4M3', 128, 4),
        'blocks.0.a.comfy_quant': note('nvfp4'),
      },
      /blocks\.0\.a\.weight has no scale beside it/,
    ],
    [
      'NVFP4 with a table that is too small',
      {
        'blocks.0.a.weight': bytes('U8', 4, 8),
        'blocks.0.a.weight_scale': bytes('F8_E4M3', 4, 1),
        'blocks.0.a.weight_scale_2': scale,
        'blocks.0.a.comfy_quant': note('nvfp4'),
      },
      /weight_scale has the shape \[4,1\]; \[128, 4\] was expected/,
    ],
    [
      'MXFP8 with scales in floats',
      {
        'blocks.0.a.weight': bytes('F8_E4M3', 4, 32),
        'blocks.0.a.weight_scale': floats([1], []),
        'blocks.0.a.comfy_quant': note('mxfp8'),
      },
      /weight_scale is f32; F8_E8M0 was expected/,
    ],
    [
      'INT8 without a scale',
      { 'blocks.0.a.weight': bytes('I8', 4, 8), 'blocks.0.a.comfy_quant': note('int8_tensorwise') },
      /blocks\.0\.a\.weight has no scale/,
    ],
    [
      'a group size that is not a number',
      {
        ...two,
        'blocks.0.a.comfy_quant': toBytes(
          '{"format":"int8_tensorwise","convrot":true,"convrot_groupsize":"x"}',
        ),
      },
      /convrot_groupsize: a whole number above 0/,
    ],
    ['an empty scale', { ...two, 'blocks.0.a.weight_scale': floats([], [0]) }, /f32 of the shape \[0\]/],
    [
      'a scale with three values',
      { ...two, 'blocks.0.a.weight_scale': floats([1, 1, 1], [3]) },
      /shape \[3\]; one number/,
    ],
    ['a scale in bytes', { ...two, 'blocks.0.a.weight_scale': bytes('U8', 1) }, /u8 of the shape \[1\]/],
    [
      'an invalid note',
      { ...two, 'blocks.0.a.comfy_quant': toBytes('{"format": ') },
      /comfy_quant: this is not valid JSON/,
    ],
    [
      'a note stored as floats',
      { ...two, 'blocks.0.a.comfy_quant': floats([1], []) },
      /comfy_quant is f32 of 4 bytes/,
    ],
  ])('%s', async (_, tensors, message) => {
    await expect(open(tensors)).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
      message: expect.stringMatching(message),
    });
  });
});

describe('quantised in another way', () => {
  const plain = { 'blocks.0.a.weight': fp8 };
  const int8 = { 'blocks.0.a.weight': bytes('I8', 4, 8) };
  const packed = { 'blocks.0.a.weight': bytes('U8', 4, 4) };
  const ones = (...shape: number[]) => floats(new Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape);
  test.each<[string, Table, RegExp, Record<string, string>?]>([
    ['MXFP8 without a note', { ...plain, 'blocks.0.a.weight_scale': bytes('U8', 4, 2) }, /as MXFP8 that/],
    [
      'NVFP4 without a note',
      { ...packed, 'blocks.0.a.weight_scale': bytes('F8_E4M3', 4, 1), 'blocks.0.a.weight_scale_2': scale },
      /as NVFP4/,
    ],
    ['another note', { ...int8, 'blocks.0.a.comfy_quant': note('awq_w4a16') }, /quantised as awq_w4a16/],
    ['another note in the header', { ...int8 }, /quantised as int8_lodewise/, header('int8_lodewise')],
    ['INT8 without a note', { ...int8, 'blocks.0.a.weight_scale': scale }, /as INT8/],
    ['a zero point', { ...int8, 'blocks.0.a.weight_zero_point': bytes('I8', 4, 1) }, /zero point/],
    ['a codebook', { ...int8, 'blocks.0.a.weight_s_rel': bytes('U8', 4, 1) }, /asym_w4a8_int8/],
    ['torchao', { 'blocks.0.a._weight_qdata': int8['blocks.0.a.weight'] }, /by torchao/],
    ['SDNQ', { ...int8, 'blocks.0.a.svd_up': ones(4, 4) }, /by SDNQ/],
    ['bytes', { ...packed, 'blocks.0.a.weight_scale': scale }, /4-bit values in bytes/],
    ['bitsandbytes', { ...packed, 'blocks.0.a.weight.absmax': ones(1) }, /bitsandbytes/],
    ['Nunchaku', { 'blocks.0.qweight': bytes('I8', 4, 4), 'blocks.0.wscales': ones(1) }, /Nunchaku/],
    ['GPTQ', { 'blocks.0.a.qweight': bytes('I8', 4, 4), 'blocks.0.a.qzeros': bytes('I8', 4) }, /GPTQ or AWQ/],
    ['quanto', { 'blocks.0.a.weight._data': fp8, 'blocks.0.a.weight._scale': scale }, /quanto/],
    ['smoothed', { ...plain, 'blocks.0.a.pre_quant_scale': ones(8) }, /scales for the inputs/],
  ])('%s', async (_, tensors, message, metadata) => {
    await expect(open(tensors, metadata)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(message),
      hint: expect.stringContaining('GGUF, F16, BF16, FP8'),
    });
  });
});
