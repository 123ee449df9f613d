// Normal noise that is the same on every machine for the same seed. There are two generators: the counter-based one of
// the WebUI and stable-diffusion.cpp, and torch's Mersenne Twister on the CPU, which ComfyUI and diffusers use.
import { parseSeed, type SeedInput, splitSeed } from '../shared/seed.js';

/** Returns the next `length` unit normal values. */
export type NormalGenerator = (length: number) => Float32Array;

export type NoiseKind = 'philox' | 'torch';

/** @param seed 0 … 2^64 - 1. Philox uses all 64 bits, torch's Mersenne Twister the lower 32, as torch itself does. */
export function createNoise(kind: NoiseKind, seed: SeedInput): NormalGenerator {
  const { low, high } = splitSeed(parseSeed(seed));
  return kind === 'philox' ? philoxNoise(low | 0, high | 0) : torchNoise(low);
}

/**
 * Philox 4x32-10 (Salmon et al. 2011) with one counter per element, then Box-Muller, as torch.randn does on CUDA. Each
 * draw starts again at element 0, with the next offset.
 */
function philoxNoise(keyLow: number, keyHigh: number): NormalGenerator {
  const words = new Uint32Array(2);
  let offset = 0;
  return (length) => {
    const values = new Float32Array(length);
    for (let i = 0; i < length; i++) {
      philox(offset, i, keyLow, keyHigh, words);
      const u = (words[0]! + 0.5) * 2 ** -32;
      const v = (words[1]! + 0.5) * 2 ** -32 * 2 * Math.PI;
      values[i] = Math.sqrt(-2 * Math.log(u)) * Math.sin(v);
    }
    offset++;
    return values;
  };
}

/** Ten rounds on the counter (offset, 0, element, 0). Stores the first two of the four words. */
function philox(offset: number, element: number, keyLow: number, keyHigh: number, words: Uint32Array): void {
  let [a, b, c, d] = [offset, 0, element, 0];
  let low = keyLow;
  let high = keyHigh;
  for (let round = 0; round < 10; round++) {
    const highA = multiplyHigh(a, 0xd251, 0x1f53);
    const highC = multiplyHigh(c, 0xcd9e, 0x8d57);
    const lowA = Math.imul(a, 0xd2511f53);
    const lowC = Math.imul(c, 0xcd9e8d57);
    a = highC ^ b ^ low;
    b = lowC;
    c = highA ^ d ^ high;
    d = lowA;
    low = (low + 0x9e3779b9) | 0;
    high = (high + 0xbb67ae85) | 0;
  }
  words[0] = a;
  words[1] = b;
}

/** The upper 32 bits of the product of x and a constant, which comes in two halves. */
function multiplyHigh(x: number, high: number, low: number): number {
  const xHigh = x >>> 16;
  const xLow = x & 0xffff;
  const one = Math.imul(xHigh, low);
  const other = Math.imul(xLow, high);
  const carry = ((one & 0xffff) + (other & 0xffff) + (Math.imul(xLow, low) >>> 16)) >>> 16;
  return (Math.imul(xHigh, high) + (one >>> 16) + (other >>> 16) + carry) | 0;
}

/**
 * torch.randn on the CPU. Box-Muller makes blocks of 16 values in single precision; the last block overlaps the one
 * before. Fewer than 16 values are drawn one by one in double precision, and every second one is kept for the next draw.
 */
function torchNoise(seed: number): NormalGenerator {
  const next = mersenneTwister(seed);
  const uniform = () => (next() & 0xffffff) * 2 ** -24;
  const uniformDouble = () => {
    const high = next() & 0x1fffff;
    return (high * 2 ** 32 + next()) * 2 ** -53;
  };
  let kept: number | undefined;

  const drawOne = (): number => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    const angle = 2 * Math.PI * uniformDouble();
    const radius = Math.sqrt(-2 * Math.log1p(-uniformDouble()));
    kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };

  return (length) => {
    if (length < 16) return Float32Array.from({ length }, drawOne);
    const values = new Float32Array(length);
    for (let i = 0; i < length; i++) values[i] = uniform();
    for (let from = 0; from + 16 <= length; from += 16) transformBlock(values, from);
    if (length % 16 !== 0) {
      for (let i = length - 16; i < length; i++) values[i] = uniform();
      transformBlock(values, length - 16);
    }
    return values;
  };
}

/** Turns 16 uniform values into normal ones. Value i of the first half and value i of the second half make a pair. */
function transformBlock(values: Float32Array, from: number): void {
  for (let i = from; i < from + 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - values[i]!));
    const angle = 2 * Math.PI * values[i + 8]!;
    values[i] = radius * Math.cos(angle);
    values[i + 8] = radius * Math.sin(angle);
  }
}

/** MT19937 (Matsumoto and Nishimura 1998): successive 32-bit words. */
function mersenneTwister(seed: number): () => number {
  const size = 624;
  const shift = 397;
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let i = 1; i < size; i++) {
    const last = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(1812433253, last) + i;
  }
  let at = size;

  const twist = () => {
    for (let i = 0; i < size; i++) {
      const mixed = (state[i]! & 0x80000000) | (state[(i + 1) % size]! & 0x7fffffff);
      state[i] = state[(i + shift) % size]! ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    at = 0;
  };
  return () => {
    if (at === size) twist();
    let word = state[at++]!;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  };
}
