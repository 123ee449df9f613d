// A layer computes with every GGUF type what it computes with the values that the gguf package reads in the same blocks.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Engine, TensorEntry } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { testDevice } from '../device.js';
import { relativeDifference } from '../golden.js';
import { temporaryFolder, tinyClip, tokenRow, writeTinyClip } from './tiny-clip.js';

const fixture = resolve(import.meta.dirname, '../fixtures/ggml-types/types.json');
const { types }: { types: Record<string, { blocks: string; values: string }> } = JSON.parse(
  readFileSync(fixture, 'utf8'),
);
const config = { ...tinyClip, width: 256, heads: 4, intermediate: 256, layers: 1 };
const layer = 'text_model.encoder.layers.0.mlp.fc1.weight';
const folder = temporaryFolder();
let engine: Engine;
beforeAll(() => {
  engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
});
afterAll(async () => {
  await engine.close();
  folder.dispose();
});

const base = writeTinyClip(folder.path, config);
/** The fixture's two rows, again and again. */
const rows = 256;

async function encodeWith(name: string, data: Buffer, form: Partial<TensorEntry>, stream: boolean) {
  const path = join(folder.path, name);
  writeFileSync(path, Buffer.concat(new Array(rows / 2).fill(data)));
  const tensors = base.tensors.map((entry) =>
    entry.name === layer ? { ...entry, file: 1, offset: 0, ...form } : entry,
  );
  const weights = { files: [base.files[0]!, path], tensors };
  const encoder = await engine.loadTextEncoder('clip', config, weights, { stream });
  const { hidden } = await encoder.encode(tokenRow());
  await encoder.close();
  return hidden[0]!.data;
}

test.each(Object.entries(types))('%s', async (type, { blocks, values }) => {
  const expected = await encodeWith('values', Buffer.from(values, 'base64'), { type: 'f32' }, false);
  expect(expected.every(Number.isFinite)).toBe(true);
  for (const stream of [false, true]) {
    const found = await encodeWith('blocks', Buffer.from(blocks, 'base64'), { type }, stream);
    // products with blocks round what goes into them to 8 bits
    expect(relativeDifference(found, expected)).toBeLessThan(0.05);
  }
  if (['f16', 'bf16', 'f64'].includes(type)) return;
  const widened = await encodeWith('blocks', Buffer.from(blocks, 'base64'), { type, skip: 0 }, false);
  expect(relativeDifference(widened, expected)).toBeLessThan(5e-3);
});
