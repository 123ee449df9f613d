// Tensors that lie in several places and tensors with a scale compute as if they lay whole and at size in the file.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Engine, TensorEntry, Weights } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { testDevice } from '../device.js';
import { temporaryFolder, tinyClip, tokenRow, writeTinyClip } from './tiny-clip.js';

const folder = temporaryFolder();
const names = ['text_model.encoder.layers.0.mlp.fc1.weight', 'text_model.encoder.layers.0.mlp.fc1.bias'];
let engine: Engine;
let weights: Weights;
let expected: Float32Array;

beforeAll(async () => {
  engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
  weights = writeTinyClip(folder.path);
  expected = await encode(weights);
});
afterAll(async () => {
  await engine.close();
  folder.dispose();
});

async function encode(table: Weights): Promise<Float32Array> {
  const encoder = await engine.loadTextEncoder('clip', tinyClip, table);
  const { hidden } = await encoder.encode(tokenRow());
  await encoder.close();
  return hidden[0]!.data;
}

/** The table with the rows named above replaced. */
function replaced(change: (row: TensorEntry) => TensorEntry[]): Weights {
  return {
    ...weights,
    tensors: weights.tensors.flatMap((row) => (names.includes(row.name) ? change(row) : [row])),
  };
}

/** F32 rows [from, from + count) of a tensor, said to begin at `row`. */
function part(entry: TensorEntry, from: number, count: number, row = from): TensorEntry {
  const [, ...rest] = entry.shape;
  const rowBytes = rest.reduce((a, b) => a * b, 4);
  return { ...entry, offset: entry.offset + from * rowBytes, shape: [count, ...rest], row };
}

it('puts the parts of a matrix and of a bias together', async () => {
  const table = replaced((row) => [part(row, 0, 10), part(row, 10, 50), part(row, 60, 4)]);
  expect(await encode(table)).toEqual(expected);
  expect(await encode(replaced((row) => [part(row, 0, 64)]))).toEqual(expected);
});

it('multiplies by the scale, each part by its own', async () => {
  const file = join(folder.path, 'halved.bin');
  const bytes = Buffer.from(readFileSync(weights.files[0]!));
  for (const { name, offset, shape } of weights.tensors) {
    if (!names.includes(name)) continue;
    const values = new Float32Array(
      bytes.buffer,
      bytes.byteOffset + offset,
      shape.reduce((a, b) => a * b, 1),
    );
    const half = values.length / 2;
    for (let i = 0; i < values.length; i++) values[i]! *= i < half ? 0.5 : 4;
  }
  writeFileSync(file, bytes);
  const table = replaced((row) => [
    { ...part(row, 0, 32), scale: 2 },
    { ...part(row, 32, 32), scale: 0.25 },
  ]);
  expect(await encode({ ...table, files: [file] })).toEqual(expected);
});

/** One F32 for each of the 64 rows. */
const table = { file: 0, offset: 0, type: 'f32', rows: 64, columns: 1, blockRows: 1, blockColumns: 32 };

it.each<[string, (row: TensorEntry) => TensorEntry[], RegExp]>([
  ['a gap', (row) => [part(row, 0, 10), part(row, 11, 53)], /doesn't continue/],
  ['rows twice', (row) => [part(row, 0, 10), part(row, 9, 55)], /doesn't continue/],
  ['a missing beginning', (row) => [part(row, 10, 54)], /begins with its row 10/],
  ['too few rows', (row) => [part(row, 0, 10)], /has the shape/],
  [
    'a part of integers',
    (row) => [part(row, 0, 10), { ...part(row, 10, 54), type: 'i32' }],
    /doesn't continue/,
  ],
  ['a whole tensor and a part', (row) => [row, part(row, 0, 64)], /in the table twice/],
  ['a scale that is no number', (row) => [{ ...row, scale: Number.NaN }], /scale/],
  ['integers with a scale', (row) => [{ ...row, type: 'i32', scale: 2 }], /scale/],
  ['scales in a file that is not there', (row) => [{ ...row, scales: { ...table, file: 3 } }], /file 3 of 1/],
  [
    'scales beyond the end',
    (row) => [{ ...row, scales: { ...table, offset: 2 ** 40 } }],
    /scales .* outside/,
  ],
  [
    'scales that overflow',
    (row) => [{ ...row, scales: { ...table, rows: 2 ** 40, columns: 2 ** 40 } }],
    /outside/,
  ],
  ['too few scales', (row) => [{ ...row, scales: { ...table, rows: 7 } }], /7 x 1 scales/],
  ['too few scales for a part', (row) => [{ ...row, scales: { ...table, firstRow: 1 } }], /64 x 1 scales/],
  ['blocks of nothing', (row) => [{ ...row, scales: { ...table, blockRows: 0 } }], /scales, each for 0/],
  ['scales in blocks', (row) => [{ ...row, scales: { ...table, type: 'q8_0' } }], /scales of the type/],
  ['tiles that are not whole', (row) => [{ ...row, scales: { ...table, tiled: true } }], /scales, each for/],
  ['a rotation of 8', (row) => [{ ...row, rotation: 8 }], /groups of 8/],
  ['a rotation that rows do not fill', (row) => [{ ...row, rotation: 64 }], /groups of 64/],
  ['a skip of a whole block', (row) => [{ ...row, type: 'q8_0', skip: 32 }], /skips 32 values/],
])('refuses %s', async (_, change, message) => {
  await expect(encode(replaced(change))).rejects.toMatchObject({ message: expect.stringMatching(message) });
});
