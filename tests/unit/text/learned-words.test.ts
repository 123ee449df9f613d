// Words in prompts that stand for learned vectors: how they are found, and how rows keep them whole.
import { describe, expect, it } from 'vitest';
import { chunkPrompt } from '../../../src/text/chunks.js';
import { LearnedWords } from '../../../src/text/learned-words.js';
import { parsePromptWeights } from '../../../src/text/prompt-weights.js';

/** A tokenizer that gives each word its length as id. */
const plain = (text: string) => text.split(/\s+/).flatMap((word) => (word === '' ? [] : [word.length]));
const words = new LearnedWords([
  { word: 'easy', count: 2 },
  { word: 'easy-V2', count: 1 },
  { word: 'embedding:ink', count: 3 },
  { word: '<cat-toy>', count: 1 },
]);

describe('LearnedWords', () => {
  it.each<[string, (number | number[])[]]>([
    ['a fox', [1, 3]],
    ['a easy fox', [1, [100, 101], 3]],
    ['EASY', [[100, 101]]],
    ['uneasy easy2 easy_', [6, 5, 5]],
    ['easy-v2, easy', [[102], 1, [100, 101]]],
    ['of embedding:ink.', [2, [103, 104, 105], 1]],
    ['a <cat-toy> here', [1, [106], 4]],
    ['embedding:other', [15]],
  ])('%s', (text, ids) => {
    expect(words.encode(text, plain, 100)).toEqual(ids);
  });

  it('changes nothing if there are none', () => {
    expect(new LearnedWords([]).encode('easy', plain, 100)).toEqual([4]);
  });
});

describe('rows', () => {
  const chunk = (prompt: string) =>
    chunkPrompt(parsePromptWeights(prompt), { encode: (text) => words.encode(text, plain, 100), padding: 0 });
  const filler = (count: number) => Array(count).fill('aa').join(' ');

  it('count every vector, and give each the weight of its word', () => {
    const [row, ...others] = chunk('a (easy:1.3) fox');
    expect(others).toEqual([]);
    expect(Array.from(row!.ids.subarray(1, 6))).toEqual([1, 100, 101, 3, 49407]);
    expect(Array.from(row!.weights.subarray(0, 6), (value) => Number(value.toFixed(2)))).toEqual([
      1, 1, 1.3, 1.3, 1, 1,
    ]);
  });

  it('move a whole word to the next row if it no longer fits', () => {
    expect(chunk(`${filler(73)} easy`)).toHaveLength(1);
    const [first, second] = chunk(`${filler(74)} easy aa`);
    expect(first!.ids[75]).toBe(49407);
    expect(Array.from(second!.ids.subarray(0, 5))).toEqual([49406, 100, 101, 2, 49407]);
  });
});
