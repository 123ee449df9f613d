// Chunks of stored floats as F32, for conversion: every type here fits into F32 exactly, but for F64, which is rounded.
import { ImageForgeError } from '../shared/errors.js';
import { halfToNumber } from './read-floats.js';

/** Types that decodeFloats reads. */
export const floatTypes: ReadonlySet<string> = new Set(['f64', 'f32', 'f16', 'bf16', 'f8_e4m3', 'f8_e5m2']);

let halves: Float32Array | undefined;
let e4m3: Float32Array | undefined;

/** `bytes` begins on a multiple of 8 in its buffer. Values are multiplied by `scale` (scaled FP8). */
export function decodeFloats(type: string, bytes: Uint8Array, scale = 1): Float32Array {
  const values = decode(type, bytes);
  if (scale !== 1) for (let i = 0; i < values.length; i++) values[i]! *= scale;
  return values;
}

function decode(type: string, bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (type) {
    case 'f64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
    case 'f32':
      return new Float32Array(buffer, byteOffset, byteLength / 4).slice();
    case 'f16':
      halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => halfToNumber(bits));
      return lookUp(halves, new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'bf16':
      return decodeBfloats(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'f8_e4m3':
      e4m3 ??= Float32Array.from({ length: 256 }, (_, bits) => e4m3ToNumber(bits));
      return lookUp(e4m3, bytes);
    case 'f8_e5m2':
      // the upper half of an F16
      return Float32Array.from(bytes, (bits) => halfToNumber(bits << 8));
    default:
      throw new ImageForgeError('INTERNAL', `${type} is no type of floats`);
  }
}

function lookUp(table: Float32Array, bits: Uint16Array | Uint8Array): Float32Array {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  return values;
}

function decodeBfloats(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/** 4 exponent bits with bias 7, no infinity, one NaN (OCP 8-bit floating point, E4M3). */
function e4m3ToNumber(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >> 3) & 15;
  const mantissa = bits & 7;
  if (exponent === 15 && mantissa === 7) return Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10));
}
