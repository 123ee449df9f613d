// quantize() against the published layouts of two types, written out here, and against what it must refuse.
import { describe, expect, it } from 'vitest';
import { loadAddon } from '../../src/native/binding.js';
import { randomFloats } from './tiny-clip.js';

const { quantize } = loadAddon();

/** The bits of a number as F16, rounded to nearest even. */
function toHalf(value: number): number {
  const f32 = new Float32Array([value]);
  const bits = new Uint32Array(f32.buffer)[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127 + 15;
  const mantissa = bits & 0x7fffff;
  if (exponent <= 0) {
    if (exponent < -10) return sign;
    const full = mantissa | 0x800000;
    const shift = 14 - exponent;
    const half = full >>> shift;
    const rest = full & ((1 << shift) - 1);
    const middle = 1 << (shift - 1);
    return sign | (half + (rest > middle || (rest === middle && half & 1) ? 1 : 0));
  }
  const half = (exponent << 10) | (mantissa >>> 13);
  const rest = mantissa & 0x1fff;
  return sign | (half + (rest > 0x1000 || (rest === 0x1000 && half & 1) ? 1 : 0));
}

/** Blocks of 32: scale max/127 as F16, then 32 signed bytes. */
function q8Block(values: Float32Array): number[] {
  const f = Math.fround;
  const scale = f(Math.max(...values.map(Math.abs)) / 127);
  const inverse = scale ? f(1 / scale) : 0;
  const half = toHalf(scale);
  const round = (x: number) => Math.sign(x) * Math.floor(Math.abs(x) + 0.5); // half away from zero, as C rounds
  return [half & 255, half >> 8, ...[...values].map((value) => round(f(value * inverse)) & 255)];
}

/** Blocks of 32: scale (value of the largest magnitude)/-8 as F16, then nibbles, the second half in the upper ones. */
function q4Block(values: Float32Array): number[] {
  const f = Math.fround;
  const largest = values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
  const scale = f(largest / -8);
  const inverse = scale ? f(1 / scale) : 0;
  const half = toHalf(scale);
  const nibble = (value: number) => Math.min(15, Math.trunc(f(f(value * inverse) + 8.5)));
  return [
    half & 255,
    half >> 8,
    ...Array.from({ length: 16 }, (_, i) => nibble(values[i]!) | (nibble(values[i + 16]!) << 4)),
  ];
}

function inBlocks(values: Float32Array, block: (part: Float32Array) => number[]): Uint8Array {
  const bytes: number[] = [];
  for (let i = 0; i < values.length; i += 32) bytes.push(...block(values.subarray(i, i + 32)));
  return Uint8Array.from(bytes);
}

describe('quantize', () => {
  const values = randomFloats(64 * 96);
  values.fill(0, 0, 32);

  it('makes q8_0 blocks, bit for bit', () => {
    expect(quantize('q8_0', values, 96)).toEqual(inBlocks(values, q8Block));
  });

  it('makes q4_0 blocks, bit for bit', () => {
    expect(quantize('q4_0', values, 96)).toEqual(inBlocks(values, q4Block));
  });

  it('makes f16, and f32 as it is', () => {
    const halves = new Uint16Array(quantize('f16', values, 96).buffer);
    expect(halves).toEqual(Uint16Array.from(values, toHalf));
    expect(new Float32Array(quantize('f32', values, 96).buffer)).toEqual(values);
  });

  it('makes every K type of the right size', () => {
    const bytes = { q2_k: 84, q3_k: 110, q4_k: 144, q5_k: 176, q6_k: 210 };
    for (const [type, size] of Object.entries(bytes))
      expect(quantize(type, values.subarray(0, 1024), 256).length).toBe(4 * size);
  });

  it('refuses rows that are not whole blocks, and types that it does not make', () => {
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() => quantize('q8_0', values, 31)).toThrow(invalid);
    expect(() => quantize('q4_k', values, 96)).toThrow(invalid);
    expect(() => quantize('q8_0', values.subarray(1), 96)).toThrow(invalid);
    expect(() => quantize('q8_0', values, 0)).toThrow(invalid);
    expect(() => quantize('q8_0', [...values] as never, 96)).toThrow(invalid);
    for (const type of ['iq2_xxs', 'q8_k', 'i32', 'pickle'])
      expect(() => quantize(type, values, 256)).toThrow(
        expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringMatching(/possible: .*q8_0/) }),
      );
  });
});
