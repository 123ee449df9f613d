import { describe, expect, it } from 'vitest';
import { chunkComfyPrompt } from '../../../src/text/chunks.js';
import { clipBegin, clipEnd, encodeClip } from '../../../src/text/clip-tokenizer.js';
import { parseComfyWeights } from '../../../src/text/comfy-weights.js';
import { LearnedWords } from '../../../src/text/learned-words.js';

describe('parseComfyWeights', () => {
  it.each<[string, [string, number][]]>([
    ['a cat', [['a cat', 1]]],
    [
      'a (cat) b',
      [
        ['a ', 1],
        ['cat', 1.1],
        [' b', 1],
      ],
    ],
    ['((cat))', [['cat', 1.21]]],
    ['(cat:1.3)', [['cat', 1.3]]],
    // A number is the weight itself, not a factor.
    [
      '((cat:1.3) dog:0.5)',
      [
        ['cat', 1.3],
        [' dog', 0.5],
      ],
    ],
    ['((cat):1.5)', [['cat', 1.65]]],
    ['(cat:-1)', [['cat', -1]]],
    ['(a:b:2)', [['a:b', 2]]],
    ['(10:30 train)', [['10:30 train', 1.1]]],
    // Square brackets, escapes, and unbalanced brackets.
    ['[cat] [a:b:0.5]', [['[cat] [a:b:0.5]', 1]]],
    ['\\(cat\\)', [['(cat)', 1]]],
    ['(\\(cat\\):1.2)', [['(cat)', 1.2]]],
    ['(cat', [['(cat', 1]]],
    ['cat) dog', [['cat) dog', 1]]],
    ['', []],
  ])('%s', (prompt, expected) => {
    const pieces = parseComfyWeights(prompt);
    expect(pieces.map(({ text }) => text)).toEqual(expected.map(([text]) => text));
    for (const [i, [, weight]] of expected.entries()) expect(pieces[i]!.weight).toBeCloseTo(weight, 9);
  });

  it('handles brackets of any depth', () => {
    expect(parseComfyWeights(`${'('.repeat(5000)}x${')'.repeat(5000)}`)).toHaveLength(1);
  });
});

describe('chunkComfyPrompt', () => {
  const rowsOf = (prompt: string, words = new LearnedWords([])) =>
    chunkComfyPrompt(parseComfyWeights(prompt), {
      encode: (text) => words.encode(text, encodeClip, 100_000),
      padding: 0,
    });
  const used = ({ ids }: { ids: Int32Array }) => ids.indexOf(clipEnd) - 1;

  it('gives the empty prompt one row', () => {
    const [row] = rowsOf('');
    expect(Array.from(row!.ids.slice(0, 3))).toEqual([clipBegin, clipEnd, 0]);
  });

  it('cuts a long text where the row is full, whatever the commas', () => {
    const rows = rowsOf(`${'cat, '.repeat(40)}dog`);
    expect(rows.map(used)).toEqual([75, 6]);
  });

  it('moves a short group to the next row', () => {
    const rows = rowsOf(`${'cat '.repeat(73)}(red fox tail:1.2) dog`);
    expect(rows.map(used)).toEqual([73, 4]);
    expect(Array.from(rows[1]!.weights.slice(0, 6)).map((w) => Math.fround(w))).toEqual(
      [1, 1.2, 1.2, 1.2, 1, 1].map(Math.fround),
    );
  });

  it('keeps the vectors of a learned word together', () => {
    const words = new LearnedWords([{ word: 'embedding:fur', count: 5 }]);
    const rows = rowsOf(`${'cat '.repeat(72)}embedding:fur`, words);
    expect(rows.map(used)).toEqual([72, 5]);
    expect(Array.from(rows[1]!.ids.slice(1, 6))).toEqual([100_000, 100_001, 100_002, 100_003, 100_004]);
  });
});
