// Thousands of damaged files: each one is read, or refused with a typed error, in bounded time. Seeded, so that failures
// can be reproduced.
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ImageForgeError } from '../../../src/shared/errors.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { array, gguf, safetensors, text, u32, u64, writeTemporary } from './make-files.js';

/** mulberry32: numbers in [0, 1). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const seeds: Record<string, Buffer> = {
  safetensors: safetensors(
    {
      __metadata__: { format: 'pt', title: 'a "b" \\ ü' },
      'model.a.weight': { dtype: 'F16', shape: [4, 8], data_offsets: [0, 64] },
      'model.b.weight': { dtype: 'F8_E4M3', shape: [4, 8], data_offsets: [64, 96] },
      'model.c': { dtype: 'I64', shape: [], data_offsets: [96, 104] },
    },
    Buffer.alloc(104),
  ),
  gguf: gguf(
    [
      { name: 'blk.0.weight', dimensions: [32, 2], type: 2, offset: 0 },
      { name: 'blk.0.bias', dimensions: [8], type: 0, offset: 64 },
    ],
    Buffer.alloc(96),
    [
      ['general.architecture', 8, text('flux')],
      ['general.alignment', 4, u32(32)],
      [
        'tokens',
        9,
        array(
          8,
          Array.from({ length: 80 }, (_, i) => text(`t${i}`)),
        ),
      ],
      ['scores', 9, array(6, [u32(1), u32(2)])],
      ['big', 10, u64(1n << 60n)],
    ],
  ),
};

const interesting = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x5b, 0x5c, 0x7b, 0x7d, 0x2c, 0x39];

function mutate(bytes: Buffer, next: () => number): Buffer {
  let result: Buffer = Buffer.from(bytes);
  const below = (limit: number) => Math.floor(next() * limit);
  for (let edits = 1 + below(4); edits > 0; edits--) {
    const at = below(result.length);
    switch (below(7)) {
      case 0:
        result[at] = below(256);
        break;
      case 1:
        result[at] = interesting[below(interesting.length)]!;
        break;
      case 2:
        result = result.subarray(0, at);
        break;
      case 3:
        result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1 + below(16))]);
        break;
      case 4:
        result = Buffer.concat([
          result.subarray(0, at),
          result.subarray(Math.max(0, at - 32), at),
          result.subarray(at),
        ]);
        break;
      case 5:
        if (at + 8 <= result.length)
          result.writeBigUInt64LE(BigInt.asUintN(64, -1n >> BigInt(below(64))), at);
        break;
      default:
        result[at] = (result[at] ?? 0) ^ (1 << below(8));
    }
    if (result.length === 0) break;
  }
  return result;
}

test.each(Object.keys(seeds))('4000 damaged %s files', async (format) => {
  const next = random(20261121);
  const path = writeTemporary(new Uint8Array());
  let read = 0;
  let slowest = 0;
  for (let i = 0; i < 4000; i++) {
    writeFileSync(path, mutate(seeds[format]!, next));
    const start = performance.now();
    try {
      const file = await readWeightFile(path);
      for (const { offset, bytes } of file.tensors.values())
        expect(offset + bytes).toBeLessThanOrEqual(file.size);
      for (const _ of file.metadata);
      read++;
    } catch (error) {
      if (!(error instanceof ImageForgeError)) throw new Error(`mutation ${i}`, { cause: error });
      expect(error.code).toMatch(/^(WEIGHTS_INVALID|UNSUPPORTED)$/);
    }
    slowest = Math.max(slowest, performance.now() - start);
  }
  expect(read).toBeGreaterThan(100);
  expect(read).toBeLessThan(3900);
  expect(slowest).toBeLessThan(1000);
});

test('the undamaged files are read', async () => {
  for (const bytes of Object.values(seeds)) {
    const file = await readWeightFile(writeTemporary(bytes));
    expect(file.tensors.size).toBeGreaterThan(1);
  }
});
