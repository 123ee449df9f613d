// The addon trusts no tensor table: whatever is wrong with one is a typed error that names the tensor.
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, TensorEntry, Weights } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { onCpu, testDevice } from '../device.js';
import { temporaryFolder, tinyClip, tokenRow, writeTinyClip } from './tiny-clip.js';

const folder = temporaryFolder();
let engine: Engine;
let weights: Weights;

beforeAll(() => {
  engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
  weights = writeTinyClip(folder.path);
});
afterAll(async () => {
  await engine.close();
  folder.dispose();
});

const name = 'text_model.encoder.layers.0.mlp.fc1.weight';

/** The table with one row changed. */
function changed(change: Partial<TensorEntry>): Weights {
  return {
    ...weights,
    tensors: weights.tensors.map((row) => (row.name === name ? { ...row, ...change } : row)),
  };
}

const load = (table: Weights) => engine.loadTextEncoder('clip', tinyClip, table);

describe('hostile tensor tables', () => {
  const huge = Number.MAX_SAFE_INTEGER;
  const cases: [string, () => Weights, string, RegExp][] = [
    [
      'an offset beyond the file',
      () => changed({ offset: 1 << 30 }),
      'WEIGHTS_INVALID',
      /fc1\.weight.*lies outside/,
    ],
    ['an offset near 2^53', () => changed({ offset: huge }), 'WEIGHTS_INVALID', /lies outside/],
    ['an end one byte beyond the file', () => lastShifted(), 'WEIGHTS_INVALID', /lies outside/],
    [
      'a shape whose product overflows',
      () => changed({ shape: [huge, huge, 4] }),
      'WEIGHTS_INVALID',
      /too large/,
    ],
    [
      'a shape whose bytes overflow',
      () => changed({ shape: [2 ** 31, 2 ** 30] }),
      'WEIGHTS_INVALID',
      /too large/,
    ],
    ['a dimension of 0', () => changed({ shape: [0, 32] }), 'WEIGHTS_INVALID', /dimension of 0/],
    ['a negative dimension', () => changed({ shape: [-64, -32] }), 'WEIGHTS_INVALID', /dimension of -/],
    ['five dimensions', () => changed({ shape: [1, 1, 1, 64, 32] }), 'WEIGHTS_INVALID', /5 dimensions/],
    ['an unknown type', () => changed({ type: 'q9_9' }), 'WEIGHTS_INVALID', /unknown type "q9_9"/],
    ['integers as weights', () => changed({ type: 'i32' }), 'WEIGHTS_INVALID', /stored as i32/],
    [
      'rows that are not whole blocks',
      () => changed({ type: 'q4_k' }),
      'WEIGHTS_INVALID',
      /whole blocks of 256/,
    ],
    [
      'another shape than the network needs',
      () => changed({ shape: [32, 64] }),
      'WEIGHTS_INVALID',
      /network needs/,
    ],
    ['a file that is not in the list', () => changed({ file: 7 }), 'WEIGHTS_INVALID', /file 7 of 1/],
    [
      'a name twice',
      () => ({ ...weights, tensors: [...weights.tensors, weights.tensors[0]!] }),
      'WEIGHTS_INVALID',
      /twice/,
    ],
    ['a missing tensor', () => changed({ name: 'other' }), 'WEIGHTS_INVALID', /fc1\.weight" is missing/],
    [
      'a missing file',
      () => ({ ...weights, files: [join(folder.path, 'none')] }),
      'WEIGHTS_UNREADABLE',
      /No such file/,
    ],
    ['a folder', () => ({ ...weights, files: [folder.path] }), 'WEIGHTS_UNREADABLE', /regular file/],
    ['an empty file', () => ({ ...weights, files: [emptyFile()] }), 'WEIGHTS_UNREADABLE', /empty/],
    ['a path with a zero byte', () => ({ ...weights, files: ['a\0b'] }), 'INVALID_ARGUMENT', /zero byte/],
    ['a fractional offset', () => changed({ offset: 0.5 }), 'INVALID_ARGUMENT', /offset/],
    ['a negative offset', () => changed({ offset: -4 }), 'INVALID_ARGUMENT', /offset/],
    [
      'a row that is no object',
      () => ({ ...weights, tensors: [null as never] }),
      'INVALID_ARGUMENT',
      /tensors\[0\]/,
    ],
  ];
  for (const [what, table, code, message] of cases)
    it(`refuses ${what}`, async () => {
      await expect(load(table())).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    });

  function lastShifted(): Weights {
    const last = weights.tensors.at(-1)!;
    return { ...weights, tensors: [...weights.tensors.slice(0, -1), { ...last, offset: last.offset + 1 }] };
  }
  function emptyFile(): string {
    const path = join(folder.path, 'empty.bin');
    writeFileSync(path, '');
    return path;
  }
});

describe('weights in use', () => {
  it.runIf(onCpu)('are used in place and counted as mapped (needs the CPU)', async () => {
    const encoder = await load(weights);
    const { mapped, weights: own } = engine.memory();
    expect(encoder.bytes).toBe(
      weights.tensors.reduce((n, row) => n + 4 * row.shape.reduce((a, b) => a * b, 1), 0),
    );
    expect(mapped).toBe(encoder.bytes);
    expect(own).toBe(0);
    await encoder.close();
    expect(engine.memory().mapped).toBe(0);
  });

  it('give the same result from an odd offset, where they have to be copied', async () => {
    const shifted = writeShifted(weights, 1);
    const [plain, odd] = [await load(weights), await load(shifted)];
    const [a, b] = [await plain.encode(tokenRow()), await odd.encode(tokenRow())];
    expect(b.hidden[0]!.data).toEqual(a.hidden[0]!.data);
    expect(engine.memory().weights).toBeGreaterThan(0);
    await Promise.all([plain.close(), odd.close()]);
  });

  it('are refused, not read, once their file has shrunk', async () => {
    const own = writeTinyClip(folder.path, tinyClip, 'shrinks.bin');
    const encoder = await load(own);
    truncateSync(own.files[0]!, 4096);
    await expect(encoder.encode(tokenRow())).rejects.toMatchObject({
      code: 'WEIGHTS_UNREADABLE',
      message: expect.stringMatching(/shrunk/),
    });
    await encoder.close();
  });
});

describe('configurations', () => {
  it('name the key that is missing, unknown or wrong', async () => {
    const { heads: _, ...withoutHeads } = tinyClip;
    const refused = (config: object) => expect(engine.loadTextEncoder('clip', config, weights)).rejects;
    await refused(withoutHeads).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/heads/),
    });
    await refused({ ...tinyClip, colour: 3 }).toMatchObject({
      message: expect.stringMatching(/"colour" is unknown/),
    });
    await refused({ ...tinyClip, width: -32 }).toMatchObject({ message: expect.stringMatching(/width/) });
    await refused({ ...tinyClip, width: 'wide' }).toMatchObject({ message: expect.stringMatching(/width/) });
    await refused({ ...tinyClip, width: 2.5 }).toMatchObject({
      message: expect.stringMatching(/whole numbers/),
    });
    await refused({ ...tinyClip, nested: {} }).toMatchObject({
      message: expect.stringMatching(/config\.nested/),
    });
  });

  it('name the kinds that exist', async () => {
    await expect(engine.loadDenoiser('teapot', {}, { files: [], tensors: [] })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/teapot.*unet/),
    });
  });
});

/** The same weights, each file `by` bytes longer at its start. */
function writeShifted(table: Weights, by: number): Weights {
  const file = join(folder.path, 'shifted.bin');
  writeFileSync(file, Buffer.concat([Buffer.alloc(by), readFileSync(table.files[0]!)]));
  return { files: [file], tensors: table.tensors.map((row) => ({ ...row, offset: row.offset + by })) };
}
