// Files that aren't sound weight files are refused with a typed error that says what was found.
import { mkdtempSync, openSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { array, type GgufField, gguf, safetensors, text, u32, u64, writeTemporary } from './make-files.js';

const folder = mkdtempSync(join(tmpdir(), 'imageforge-bad-'));

async function refuse(bytes: Uint8Array, code: string, message: RegExp): Promise<void> {
  await expect(readWeightFile(writeTemporary(bytes))).rejects.toMatchObject({
    name: 'ImageForgeError',
    code,
    message: expect.stringMatching(message),
  });
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});
const tensor = { name: 'a', dimensions: [4], type: 0, offset: 0 };

describe('not a weight file', () => {
  test.each([
    ['an empty file', Buffer.alloc(0), 'WEIGHTS_INVALID', /empty/],
    ['a few bytes', Buffer.from('abc'), 'WEIGHTS_INVALID', /3 bytes/],
    ['a web page', Buffer.from('\n<!DOCTYPE html><html>'), 'WEIGHTS_INVALID', /web page/],
    [
      'a git-lfs pointer',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid'),
      'WEIGHTS_INVALID',
      /git-lfs/,
    ],
    ['JSON', Buffer.from('{"error": "Invalid username"}'), 'WEIGHTS_INVALID', /JSON/],
    ['a zipped pickle', Buffer.from('PK\x03\x04archive/data.pkl'), 'UNSUPPORTED', /pickled/],
    [
      'a raw pickle',
      Buffer.from([0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9]),
      'UNSUPPORTED',
      /pickled/,
    ],
    [
      'a big-endian GGUF',
      Buffer.concat([Buffer.from('GGUF'), Buffer.from([0, 0, 0, 3])]),
      'UNSUPPORTED',
      /big endian/,
    ],
    ['an old GGUF', Buffer.concat([Buffer.from('GGUF'), u32(1)]), 'UNSUPPORTED', /too old/],
    [
      'random bytes',
      Buffer.from('0102030405060708ffffffff', 'hex'),
      'WEIGHTS_INVALID',
      /neither GGUF nor safetensors/,
    ],
  ])('%s', async (_, bytes, code, message) => {
    await refuse(bytes, code, message);
  });

  test('a pickled checkpoint, with how to convert it', async () => {
    const path = writeTemporary(Buffer.from('PK\x03\x04archive/data.pkl'), 'ckpt');
    await expect(readWeightFile(path)).rejects.toMatchObject({ hint: expect.stringContaining('save_file') });
  });

  test('a folder and a missing file', async () => {
    await expect(readWeightFile(folder)).rejects.toMatchObject({ code: 'WEIGHTS_UNREADABLE' });
    await expect(readWeightFile(join(folder, 'none.gguf'))).rejects.toMatchObject({
      code: 'WEIGHTS_UNREADABLE',
      message: expect.stringContaining('no such file'),
    });
  });
});

describe('safetensors', () => {
  const data = Buffer.alloc(32);
  test.each([
    ['overlapping tensors', { a: f32(0, 16), b: f32(8, 24) }, /overlap/],
    ['data beyond the end', { a: f32(0, 64) }, /ends at byte .* incomplete/],
    ['a size that differs from the shape', { a: f32(0, 16, [5]) }, /needs 20/],
    ['an overflowing shape', { a: f32(0, 16, [2 ** 40, 2 ** 40]) }, /impossible shape/],
    ['reversed offsets', { a: f32(16, 0, [4]) }, /needs 16/],
    ['65 dimensions', { a: f32(0, 4, new Array(65).fill(1)) }, /more than 64/],
    [
      'duplicate tensors',
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      /there twice/,
    ],
    [
      'a duplicate field',
      '{"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}',
      /dtype twice/,
    ],
    ['a negative size', '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', /whole numbers/],
    ['a fraction', '{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}', /expected/],
    ['deep nesting', `{"__metadata__":{"x":${'['.repeat(1e5)}`, /deep/],
    ['a missing field', '{"a":{"dtype":"F32","shape":[1]}}', /lacks/],
    ['bytes after the object', '{} x', /behind/],
    ['a cut header', '{"a":{"dtype":"F3', /no end/],
  ])('%s', async (_, header, message) => {
    await refuse(safetensors(header, data), 'WEIGHTS_INVALID', message);
  });

  test('an unknown type', () =>
    refuse(safetensors({ a: { dtype: 'F3', shape: [8], data_offsets: [0, 4] } }, data), 'UNSUPPORTED', /F3/));

  test('a header longer than the file, and one of absurd length', async () => {
    const short = safetensors({ a: f32(0, 16) }, data).subarray(0, 20);
    await refuse(short, 'WEIGHTS_INVALID', /incomplete/);
    await refuse(Buffer.concat([u64(2n ** 60n), Buffer.from('{}')]), 'WEIGHTS_INVALID', /neither/);
  });

  test('names are read completely: escapes, quotes and letters beyond ASCII', async () => {
    const names = ['a"b', 'ü\\n', '\u2028', ''];
    const header = Object.fromEntries(names.map((name, i) => [name, f32(i * 4, i * 4 + 4)]));
    const file = await readWeightFile(
      writeTemporary(safetensors({ __metadata__: { format: 'pt' }, ...header }, data)),
    );
    expect([...file.tensors.keys()]).toEqual(names);
    expect(file.metadata.get('format')).toBe('pt');
  });
});

describe('GGUF', () => {
  const data = Buffer.alloc(64);
  const nested = (depth: number): Buffer => (depth === 0 ? array(4, []) : array(9, [nested(depth - 1)]));
  const field = (type: number, value: Buffer): GgufField => ['k', type, value];
  test.each([
    ['overlapping tensors', gguf([tensor, { ...tensor, name: 'b' }], data), /overlap/],
    ['data beyond the end', gguf([{ ...tensor, dimensions: [1000] }], data), /ends at byte/],
    ['an offset beyond the end', gguf([{ ...tensor, offset: 2 ** 40 }], data), /ends at byte/],
    ['an offset of 2^63', gguf([{ ...tensor, offset: 2n ** 63n }], data), /offset/],
    ['an unaligned offset', gguf([{ ...tensor, offset: 8 }], data), /multiple of 32/],
    [
      'an overflowing shape',
      gguf([{ ...tensor, dimensions: [2 ** 31, 2 ** 31, 2 ** 31] }], data),
      /impossible shape/,
    ],
    ['duplicate names', gguf([tensor, { ...tensor, offset: 32 }], data), /there twice/],
    ['five dimensions', gguf([{ ...tensor, dimensions: [1, 1, 1, 1, 1] }], data), /5 dimensions/],
    ['broken blocks', gguf([{ ...tensor, type: 2, dimensions: [16] }], data), /whole blocks of 32/],
    ['duplicate keys', gguf([], data, [field(4, u32(1)), field(4, u32(2))]), /there twice/],
    ['an unknown value type', gguf([], data, [field(99, u32(1))]), /unknown value type 99/],
    ['nested arrays', gguf([], data, [field(9, nested(9))]), /levels/],
    [
      'an array of absurd length',
      gguf([], data, [field(9, Buffer.concat([u32(4), u64(2n ** 61n)]))]),
      /length of the array/,
    ],
    ['a string of absurd length', gguf([], data, [field(8, u64(2n ** 50n))]), /length of k/],
    ['an alignment of 0', gguf([tensor], data, [['general.alignment', 4, u32(0)]]), /alignment/],
    ['an alignment that is text', gguf([tensor], data, [['general.alignment', 8, text('x')]]), /alignment/],
    [
      'absurd counts',
      Buffer.concat([Buffer.from('GGUF'), u32(3), u64(2n ** 62n), u64(1)]),
      /number of tensors/,
    ],
    ['a cut header', gguf([tensor], data).subarray(0, 40), /incomplete/],
  ])('%s', async (_, bytes, message) => {
    await refuse(bytes, 'WEIGHTS_INVALID', message);
  });

  test('unknown and removed types', async () => {
    await refuse(gguf([{ ...tensor, type: 77 }], data), 'UNSUPPORTED', /number 77/);
    await refuse(gguf([{ ...tensor, type: 4 }], data), 'UNSUPPORTED', /removed/);
  });

  test('a shape that the converter flattened is restored', async () => {
    const shape = array(5, [u32(2), u32(2)]);
    const file = await readWeightFile(
      writeTemporary(gguf([tensor], data, [['comfy.gguf.orig_shape.a', 9, shape]])),
    );
    expect(file.tensors.get('a')?.shape).toEqual([2, 2]);
    const wrong = array(5, [u32(3), u32(2)]);
    await refuse(
      gguf([tensor], data, [['comfy.gguf.orig_shape.a', 9, wrong]]),
      'WEIGHTS_INVALID',
      /orig_shape/,
    );
  });

  test('long arrays are decoded at first use', async () => {
    const words = Array.from({ length: 500 }, (_, i) => `word ${i}`);
    const file = await readWeightFile(
      writeTemporary(gguf([tensor], data, [['tokens', 9, array(8, words.map(text))]])),
    );
    expect(file.metadata.get('tokens')).toEqual(words);
  });
});

test('a file of 20 GB is read in well under a second', async () => {
  const path = join(folder, 'large.safetensors');
  const count = 20;
  const each = 2 ** 30;
  const header = Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `t${i}`,
      { dtype: 'F16', shape: [2 ** 29], data_offsets: [i * each, (i + 1) * each] },
    ]),
  );
  const bytes = safetensors(header, Buffer.alloc(0));
  writeSync(openSync(path, 'w'), bytes);
  truncateSync(path, bytes.length + count * each);
  const start = performance.now();
  const file = await readWeightFile(path);
  expect(file.tensors.size).toBe(count);
  expect(performance.now() - start).toBeLessThan(500);
});
