// Storage types that are converted when they are loaded compute what the same values in a native type compute.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Engine, Weights } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { testDevice } from '../device.js';
import { temporaryFolder, tinyClip, tokenRow, writeTinyClip } from './tiny-clip.js';

const folder = temporaryFolder();
let engine: Engine;
let plain: Weights;

beforeAll(() => {
  engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
  plain = writeTinyClip(folder.path);
});
afterAll(async () => {
  await engine.close();
  folder.dispose();
});

type Encode = (value: number) => Buffer;

/** The same network with its matrices (and, with `all`, its vectors) in another type. */
function rewrite(type: string, encode: Encode, all = false): Weights {
  const bytes = readFileSync(plain.files[0]!);
  const parts: Buffer[] = [];
  let offset = 0;
  const tensors = plain.tensors.map((row) => {
    const count = row.shape.reduce((a, b) => a * b, 1);
    const values = Array.from({ length: count }, (_, i) => bytes.readFloatLE(row.offset + 4 * i));
    const convert = all || row.shape.length > 1;
    const part = convert
      ? Buffer.concat(values.map(encode))
      : bytes.subarray(row.offset, row.offset + 4 * count);
    parts.push(part, Buffer.alloc(-part.length & 3));
    const moved = { ...row, type: convert ? type : 'f32', offset };
    offset += part.length + (-part.length & 3);
    return moved;
  });
  const file = join(folder.path, `${type}-${all}-${Math.random()}.bin`);
  writeFileSync(file, Buffer.concat(parts));
  return { files: [file], tensors };
}

async function encodeWith(weights: Weights): Promise<Float32Array> {
  const encoder = await engine.loadTextEncoder('clip', tinyClip, weights);
  const { hidden } = await encoder.encode(tokenRow());
  await encoder.close();
  return hidden[0]!.data;
}

const u16 = (bits: number) => {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(bits);
  return buffer;
};
const f64: Encode = (value) => {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleLE(value);
  return buffer;
};

/** Sign, exponent and leading mantissa bits of a value below 1 in magnitude, cut off after `mantissa` bits. */
function cut(value: number, mantissa: number, lowest: number) {
  const sign = value < 0 ? 1 : 0;
  const magnitude = Math.abs(value);
  const exponent = magnitude < 2 ** lowest ? lowest : Math.floor(Math.log2(magnitude));
  const steps = Math.floor(magnitude / 2 ** (exponent - mantissa));
  return { sign, exponent, steps, isNormal: steps >= 2 ** mantissa };
}

const e4m3: Encode = (value) => {
  const { sign, exponent, steps, isNormal } = cut(value, 3, -6);
  return Buffer.of((sign << 7) | (isNormal ? ((exponent + 7) << 3) | (steps & 7) : steps));
};
const e4m3AsF16: Encode = (value) => {
  const { sign, exponent, steps } = cut(value, 3, -6);
  const magnitude = steps * 2 ** (exponent - 3); // 2^-9 at the least: normal in F16
  if (magnitude === 0) return u16(sign << 15);
  const power = Math.floor(Math.log2(magnitude));
  return u16((sign << 15) | ((power + 15) << 10) | ((magnitude / 2 ** power - 1) * 1024));
};
const e5m2Bits = (value: number) => {
  const { sign, exponent, steps, isNormal } = cut(value, 2, -14);
  return (sign << 7) | (isNormal ? ((exponent + 15) << 2) | (steps & 3) : steps);
};

it('f64 computes what f32 does', async () => {
  expect(await encodeWith(rewrite('f64', f64, true))).toEqual(await encodeWith(plain));
});

it('f8_e4m3 computes what its values in f16 do', async () => {
  expect(await encodeWith(rewrite('f8_e4m3', e4m3))).toEqual(await encodeWith(rewrite('f16', e4m3AsF16)));
});

it('f8_e5m2 computes what its values in f16 do', async () => {
  const narrow = await encodeWith(rewrite('f8_e5m2', (value) => Buffer.of(e5m2Bits(value))));
  expect(narrow).toEqual(await encodeWith(rewrite('f16', (value) => u16(e5m2Bits(value) << 8))));
});

it('vectors in f16 compute what the same values in f32 do', async () => {
  // 1-D tensors become F32: here all of them hold values that F16 holds exactly.
  const half: Encode = (value) => u16(e5m2Bits(value) << 8);
  const exact: Encode = (value) => {
    const { sign, exponent, steps } = cut(value, 2, -14);
    const buffer = Buffer.alloc(4);
    buffer.writeFloatLE((sign ? -1 : 1) * steps * 2 ** (exponent - 2));
    return buffer;
  };
  const both = rewrite('f16', half, true);
  const mixed = rewrite('f32', exact, true);
  const [a, b] = [await encodeWith(both), await encodeWith(mixed)];
  for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(0.02);
});
