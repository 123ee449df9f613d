// Seeds of 64 bits in their one form.
import { describe, expect, it } from 'vitest';
import { parseSeed, requireSeeds, seedOf, splitSeed } from '../../../src/shared/seed.js';

const MOST = 2n ** 64n - 1n;

describe('seeds', () => {
  it.each<[unknown, number | string]>([
    [0, 0],
    [-0, 0],
    [42, 42],
    ['42', 42],
    ['0042', 42],
    [42n, 42],
    [2 ** 53 - 1, 9007199254740991],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', '9007199254740992'],
    [2n ** 53n + 1n, '9007199254740993'],
    ['18446744073709551615', '18446744073709551615'],
    [MOST, '18446744073709551615'],
  ])('%s is %s', (value, seed) => {
    expect(parseSeed(value)).toStrictEqual(seed);
  });

  it.each([
    -1,
    1.5,
    Number.NaN,
    2 ** 53,
    '',
    '-1',
    '1e3',
    ' 1',
    '٣',
    MOST + 1n,
    `${MOST + 1n}`,
    -1n,
    null,
    {},
  ])('refuses %s', (value) => {
    expect(() => parseSeed(value)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('seed: ') }),
    );
  });

  it('says how to send a number that has lost digits', () => {
    expect(() => parseSeed(2 ** 60)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('string') }),
    );
  });

  it('counts through a batch, past the largest exact number', () => {
    expect(seedOf(2 ** 53 - 1, 0)).toBe(2 ** 53 - 1);
    expect(seedOf(2 ** 53 - 1, 1)).toBe('9007199254740992');
    expect(seedOf('18446744073709551600', 15)).toBe('18446744073709551615');
    expect(() => requireSeeds('18446744073709551600', 16)).not.toThrow();
    expect(() => requireSeeds('18446744073709551601', 16)).toThrow(
      'seed: expected at most 18446744073709551600 for a batch of 16, found 18446744073709551601.',
    );
  });

  it('splits into words', () => {
    expect(splitSeed('18446744073709551614')).toEqual({ low: 0xfffffffe, high: 0xffffffff });
    expect(splitSeed(2 ** 32 + 7)).toEqual({ low: 7, high: 1 });
  });
});
