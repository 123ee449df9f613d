// A safetensors file begins with the length of its header, which may look like the start of another format.
import { expect, test } from 'vitest';
import { ByteReader } from '../../../src/weights/byte-reader.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { recognise } from '../../../src/weights/recognise.js';
import { safetensors, writeTemporary } from './make-files.js';

const json = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';

test('whatever the length of its header, a safetensors file is recognised', () => {
  const file = safetensors(`${json} `.padEnd(504), Buffer.alloc(4));
  const refused: number[] = [];
  for (let length = 8; length <= 1 << 20; length += 8) {
    file.writeBigUInt64LE(BigInt(length));
    try {
      if (recognise(ByteReader.over('x.safetensors', file)) !== 'safetensors') refused.push(length);
    } catch {
      refused.push(length);
    }
  }
  expect(refused).toEqual([]);
});

test.each([
  [640, 'a pickle'],
  [896, 'a pickle'],
  [1152, 'a pickle'],
  [19280, 'a zip archive'],
  [0x8b1f, 'gzip'],
  [0x685a42, 'bzip2'],
])('a header of %i bytes, which begins like %s, is read', async (length) => {
  const path = writeTemporary(safetensors(json.padEnd(length), Buffer.alloc(4)), 'safetensors');
  const { format, tensors } = await readWeightFile(path);
  expect(format).toBe('safetensors');
  expect([...tensors.keys()]).toEqual(['a']);
});

test.each([
  ['metadata that is null', `{"__metadata__":null,${json.slice(1)}`],
  ['an unknown field', json.replace('"dtype"', '"note":{"x":[1,"y",null]},"dtype"')],
  ['space before the object', `\n  ${json}`],
  ['space after the object', `${json}  \n`],
])('%s is read, as the reference implementation does', async (_, header) => {
  const { tensors, metadata } = await readWeightFile(writeTemporary(safetensors(header, Buffer.alloc(4))));
  expect([...tensors.keys()]).toEqual(['a']);
  expect(metadata.size).toBe(0);
});

test.each([
  ['F4', [64], 32, 'f4_e2m1'],
  ['F6_E2M3', [32], 24, 'f6_e2m3'],
  ['C64', [2], 16, 'c64'],
  ['F8_E4M3FNUZ', [8], 8, 'f8_e4m3fnuz'],
  ['F8_E8M0', [8], 8, 'f8_e8m0'],
  ['F32', [1, 1, 1, 1, 1, 1, 1, 1, 2], 8, 'f32'],
])('%s of the shape %j is read', async (dtype, shape, bytes, type) => {
  const header = { a: { dtype, shape, data_offsets: [0, bytes] } };
  const { tensors } = await readWeightFile(writeTemporary(safetensors(header, Buffer.alloc(bytes))));
  expect(tensors.get('a')).toMatchObject({ type, shape, bytes });
});

test.each([
  [
    'names that are not UTF-8',
    Buffer.concat([Buffer.from('{"a'), Buffer.of(0xff), Buffer.from(json.slice(3))]),
  ],
  ['numbers that begin with 0', Buffer.from(json.replace('[1]', '[01]'))],
  ['duplicate metadata', Buffer.from(`{"__metadata__":{},"__metadata__":null,${json.slice(1)}`)],
])('%s are refused', async (_, header) => {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const path = writeTemporary(Buffer.concat([length, header, Buffer.alloc(4)]));
  await expect(readWeightFile(path)).rejects.toMatchObject({ code: 'WEIGHTS_INVALID' });
});
