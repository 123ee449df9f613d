// Seeds are whole numbers of 64 bits, more than a JavaScript number or a JSON number of most programs holds exactly. One
// form goes through the whole program and into every answer, file and cache key: a number up to 2^53 - 1, a string of
// decimal digits above. It survives JSON and the way to the engine's process.
import { ImageForgeError } from './errors.js';
import { LIMITS } from './limits.js';

/** A seed: a number up to 2^53 - 1, above that the string of its decimal digits. */
export type Seed = number | string;

/** What a caller may write for a seed: a number up to 2^53 - 1, or a bigint or decimal digits up to 2^64 - 1. */
export type SeedInput = number | bigint | string;

export const SEED_EXPECTED = `a whole number from 0 to 2^53 - 1, or a string of digits up to ${LIMITS.seed}`;

/** The seed in its one form; undefined for what is none. Leading zeros go, so that equal seeds are equal values. */
export function readSeed(value: unknown): Seed | undefined {
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && value >= 0 ? Math.abs(value) : undefined;
  // more digits than any seed has are not worth the arithmetic
  if (typeof value === 'string') return /^0*\d{1,20}$/.test(value) ? toSeed(BigInt(value)) : undefined;
  return typeof value === 'bigint' ? toSeed(value) : undefined;
}

/** @throws ImageForgeError INVALID_ARGUMENT for what is no seed. */
export function parseSeed(value: unknown): Seed {
  const seed = readSeed(value);
  if (seed !== undefined) return seed;
  throw new ImageForgeError(
    'INVALID_ARGUMENT',
    `seed: expected ${SEED_EXPECTED}, found ${typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value)}.`,
    { ...(hasLostDigits(value) && { hint: LOST_DIGITS }), details: { option: 'seed' } },
  );
}

/** Why a number above 2^53 - 1 is refused instead of rounded. */
export const LOST_DIGITS = 'Numbers above 2^53 - 1 lose digits on their way: give the seed as a string.';

export function hasLostDigits(value: unknown): boolean {
  return typeof value === 'number' && value > Number.MAX_SAFE_INTEGER;
}

/** The seed of picture `place` of a batch, from 0. */
export function seedOf(first: Seed, place: number): Seed {
  const seed = toSeed(BigInt(first) + BigInt(place));
  if (seed === undefined) throw new RangeError(`seed ${first} + ${place}`);
  return seed;
}

/** @throws ImageForgeError INVALID_ARGUMENT where the last picture of a batch would have no seed. */
export function requireSeeds(first: Seed, batch: number): void {
  const most = LIMITS.seed - BigInt(batch - 1);
  if (BigInt(first) > most)
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `seed: expected at most ${most} for a batch of ${batch}, found ${first}.`,
      {
        hint: 'Image n of a batch, from 0, uses seed + n.',
        details: { option: 'seed' },
      },
    );
}

/** The lower and the upper 32 bits. */
export function splitSeed(seed: Seed): { low: number; high: number } {
  const bits = BigInt(seed);
  return { low: Number(bits & 0xffffffffn), high: Number(bits >> 32n) };
}

function toSeed(value: bigint): Seed | undefined {
  if (value < 0n || value > LIMITS.seed) return undefined;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}
