import { describe, expect, it } from 'vitest';
import { chunkPrompt, padChunks } from '../../../src/text/chunks.js';
import { clipBegin, clipEnd, encodeClip } from '../../../src/text/clip-tokenizer.js';
import { parsePromptWeights } from '../../../src/text/prompt-weights.js';

const comma = 267;
const cat = 2368;
const clipL = { encode: encodeClip, padding: clipEnd };

function chunk(prompt: string, padding = clipEnd) {
  return chunkPrompt(parsePromptWeights(prompt), { encode: encodeClip, padding });
}

/** The tokens of a row between begin and end token. */
function tokens(ids: Int32Array): number[] {
  expect(ids).toHaveLength(77);
  expect(ids[0]).toBe(clipBegin);
  return [...ids.slice(1, ids.indexOf(clipEnd))];
}

describe('chunks of a prompt', () => {
  it('gives one empty row for an empty prompt', () => {
    const [row, ...others] = chunk('');
    expect(others).toEqual([]);
    expect(tokens(row!.ids)).toEqual([]);
    expect(row!.weights.every((weight) => weight === 1)).toBe(true);
  });

  it('has the weights of the tokens, and 1 elsewhere', () => {
    const [row] = chunk('a (cat:1.5)', 0);
    expect([...row!.ids.slice(0, 5)]).toEqual([clipBegin, 320, cat, clipEnd, 0]);
    expect([...row!.weights.slice(0, 5)]).toEqual([1, 1, 1.5, 1, 1]);
  });

  it('fills rows of 75 tokens, each with its own begin and end token', () => {
    const rows = chunk('cat '.repeat(160));
    expect(rows.map(({ ids }) => tokens(ids).length)).toEqual([75, 75, 10]);
  });

  it('moves the text after a nearby comma to the next row', () => {
    const rows = chunk(`${'cat '.repeat(65)}, ${'cat '.repeat(20)}`);
    expect(rows.map(({ ids }) => tokens(ids).length)).toEqual([66, 20]);
    expect(tokens(rows[0]!.ids).at(-1)).toBe(comma);
  });

  it('cuts a row if the last comma is more than 20 tokens back', () => {
    const rows = chunk(`${'cat '.repeat(40)}, ${'cat '.repeat(60)}`);
    expect(rows.map(({ ids }) => tokens(ids).length)).toEqual([75, 26]);
  });

  it.each([
    ['a BREAK b', [1, 1]],
    ['(a BREAK b:1.4)', [1, 1]],
    ['a BREAK BREAK b', [1, 0, 1]],
    ['a BREAK', [1]],
    ['BREAK', [0]],
  ])('starts a row at each BREAK: %s', (prompt, lengths) => {
    expect(chunk(prompt).map(({ ids }) => tokens(ids).length)).toEqual(lengths);
  });

  it('evens two prompts out with empty rows', () => {
    const rows = padChunks(chunkPrompt(parsePromptWeights('cat'), clipL), 3, clipEnd);
    expect(rows.map(({ ids }) => tokens(ids).length)).toEqual([1, 0, 0]);
  });
});
