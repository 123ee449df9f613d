import { describe, expect, it } from 'vitest';
import { expandPrompts } from '../../../src/text/expand-prompts.js';
import { seededRandom } from '../../../src/text/random-choices.js';
import { expandWildcards, readWildcardLines, type Wildcards } from '../../../src/text/wildcards.js';

const files: Record<string, string[]> = {
  colour: ['red', 'green', 'blue'],
  'animals/cat': ['lynx'],
  'animals/dog': ['{tall|small} hound'],
  nested: ['a __colour__ __animals/cat__'],
  loop: ['__loop__ again'],
  empty: [],
  heavy: ['0::never', '5::always'],
  'my-animals/big_cat': ['lion'],
  'Artists (80s)': ['Haring'],
  "l'été, froid": ['neige'],
};
const wildcards: Wildcards = {
  folder: '/prompts/wildcards',
  names: () => Object.keys(files),
  read: (name) => files[name]!,
};
const expand = (prompt: string, seed: number | bigint | string = 1) =>
  expandWildcards(prompt, wildcards, seededRandom(seed, 'prompt'));
/** All the prompts that many seeds make of one prompt, and how often each occurs. */
function count(prompt: string, seeds = 600): Map<string, number> {
  const found = new Map<string, number>();
  for (let seed = 0; seed < seeds; seed++) {
    const text = expand(prompt, seed);
    found.set(text, (found.get(text) ?? 0) + 1);
  }
  return found;
}
const outcomes = (prompt: string) => [...count(prompt).keys()].sort();

describe('expandWildcards', () => {
  it.each([
    'a plain prompt',
    'a {brace} and a _name_ and snake_case__',
    '{"scene": "a | b", "colours": ["__colour__", "x|y"]}',
    'draw {"scene": "a|b"} please',
    'unclosed {a|b',
    'a __../secret__ b',
    '',
  ])('leaves %s as it is', (prompt) => {
    expect(expand(prompt)).toBe(prompt);
  });

  it('chooses one of several, each about as often', () => {
    const found = count('a {red|green|blue} fox');
    expect([...found.keys()].sort()).toEqual(['a blue fox', 'a green fox', 'a red fox']);
    for (const times of found.values()) expect(times).toBeGreaterThan(150);
  });

  it('weights choices', () => {
    const found = count('{3::a|b}');
    expect(found.get('a')).toBeGreaterThan(400);
    expect(found.get('b')).toBeGreaterThan(100);
    expect(outcomes('__heavy__')).toEqual(['always']);
  });

  it('takes several, none of them twice', () => {
    expect(outcomes('{2$$a|b|c}')).toEqual(['a, b', 'a, c', 'b, a', 'b, c', 'c, a', 'c, b']);
    expect(outcomes('{2$$ and $$a|b}')).toEqual(['a and b', 'b and a']);
    expect(outcomes('{1-2$$a|b}')).toEqual(['a', 'a, b', 'b', 'b, a']);
    expect(outcomes('{-1$$a|b}')).toEqual(['', 'a', 'b']);
    expect(outcomes('{2-$$a|b}')).toEqual(['a, b', 'b, a']);
    expect(outcomes('{2$$__colour__}')).toHaveLength(6);
  });

  it('reads lines of files, in folders, by patterns, and the wildcards that they name', () => {
    expect(outcomes('__colour__')).toEqual(['blue', 'green', 'red']);
    expect(outcomes('__COLOUR__')).toEqual(['blue', 'green', 'red']);
    expect(outcomes('__animals/*__')).toEqual(['lynx', 'small hound', 'tall hound']);
    expect(outcomes('__nested__')).toEqual(['a blue lynx', 'a green lynx', 'a red lynx']);
    expect(outcomes('{__animals/cat__|{x|y}}')).toEqual(['lynx', 'x', 'y']);
  });

  it('reads files of any name', () => {
    expect(expand('__my-animals/*__, __my-*/**__')).toBe('lion, lion');
    expect(expand("by __artists (80s)__ in __l'été, froid__")).toBe('by Haring in neige');
    expect(expand('{2$$__Artists (80s)__|____animals/cat____}')).toMatch(
      /^(Haring, __lynx__|__lynx__, Haring)$/,
    );
    expect(() => expand('{1$$__a(*__}')).toThrow('__a(*__ is no wildcard');
    expect(expand('see __this (and that)__, ____ and _____')).toBe('see __this (and that)__, ____ and _____');
  });

  it('takes escaped marks as text', () => {
    expect(expand('\\{a|b\\} and \\__colour\\__')).toBe('{a|b} and __colour__');
    expect(outcomes('{a\\|b|a\\|b}')).toEqual(['a|b']);
  });

  it.each<[string, RegExp]>([
    ['a __shade__ fox', /__shade__ is no wildcard in \/prompts\/wildcards/],
    ['__animals/../secret__', /__animals\/\.\.\/secret__ is no wildcard/],
    ['__empty__', /__empty__ has no lines/],
    ['__loop__', /__loop__ leads to choices that are nested more than 20 deep/],
    ['{3$$a|b}', /\{3\$\$a\|b\} asks for 3 of 2 choices/],
    ['{2-1$$a|b}', /asks for 2 to 1 of 2/],
    ['{0::a|0::b}', /leaves no choice/],
  ])('refuses %s', (prompt, message) => {
    expect(() => expand(prompt)).toThrow(message);
    expect(() => expand(prompt)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('lists the known wildcards', () => {
    expect(() => expand('__shade__')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('colour, animals/cat, animals/dog') }),
    );
  });

  it('handles any number of braces', () => {
    expect(expand('{'.repeat(5000))).toHaveLength(5000);
    expect(() => expand(`${'{a|'.repeat(2000)}b${'}'.repeat(2000)}`, 3)).not.toThrow(RangeError);
  });
});

describe('seeds', () => {
  it('make the same choices again, and different ones for another picture', () => {
    const template = { prompt: '{a|b|c|d|e|f} __colour__', negativePrompt: '{a|b|c|d|e|f}', styles: [] };
    const make = (seeds: (number | string)[]) =>
      expandPrompts({ ...template, seeds, syntax: 'webui' }, wildcards);
    const batch = make([7, 8, 9, 10, 11, 12]);
    expect(make([7, 8, 9, 10, 11, 12])).toEqual(batch);
    expect(make([9])).toEqual([batch[2]]);
    expect(new Set(batch.map(({ prompt }) => prompt)).size).toBeGreaterThan(2);
    expect(make(['18446744073709551615'])).toEqual(make(['18446744073709551615']));
    expect(batch.some(({ prompt, negativePrompt }) => prompt[0] !== negativePrompt)).toBe(true);
  });

  // From the first six bytes of SHA-256 of "prompt\n<seed>\n0", computed independently.
  it('choose these, on every machine', () => {
    expect([1, 2, 3, 4, 5, 6].map((seed) => expand('{a|b|c|d|e|f}', seed)).join('')).toBe('ccdbae');
    expect(expand('{a|b|c|d|e|f}', 5n)).toBe(expand('{a|b|c|d|e|f}', 5));
  });

  it('choose nothing in plain syntax', () => {
    const plain = {
      prompt: '{a|b} __x__',
      negativePrompt: '',
      styles: [],
      seeds: [1],
      syntax: 'plain',
    } as const;
    expect(expandPrompts(plain, wildcards)).toEqual([{ prompt: '{a|b} __x__', negativePrompt: '' }]);
  });
});

it('reads lines without comments, empty lines, and line endings of other systems', () => {
  expect(readWildcardLines('\ufeffred\r\n# a comment\n\n  green \n#x\rblue')).toEqual([
    'red',
    'green',
    'blue',
  ]);
});
