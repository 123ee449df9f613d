// Choices that a seed decides: the same seed and the same label make the same ones on every machine.
import { createHash } from 'node:crypto';
import type { SeedInput } from '../shared/seed.js';

/** From 0 up to, but not including, 1. */
export type Random = () => number;

/** @param label keeps the choices of one text apart from those of another */
export function seededRandom(seed: SeedInput, label: string): Random {
  let drawn = 0;
  return () => {
    const digest = createHash('sha256').update(`${label}\n${seed}\n${drawn++}`).digest();
    return digest.readUIntBE(0, 6) / 2 ** 48;
  };
}

/** One of the values, each as likely as its weight; the weights are not negative, and not all of them 0. */
export function choose<T extends { weight: number }>(values: readonly T[], random: Random): T {
  const total = values.reduce((sum, { weight }) => sum + weight, 0);
  let left = random() * total;
  for (const value of values) {
    if (left < value.weight) return value;
    left -= value.weight;
  }
  return values.findLast(({ weight }) => weight > 0)!; // the sums were rounded
}
