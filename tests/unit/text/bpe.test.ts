import { expect, it } from 'vitest';
import { MergeTable } from '../../../src/text/bpe.js';

/** The textbook algorithm: repeatedly merge the leftmost pair of lowest rank. */
function mergeSlowly(word: number[], merges: [number, number, number][]): number[] {
  const symbols = [...word];
  for (;;) {
    let best: { rank: number; at: number } | undefined;
    for (let at = 0; at + 1 < symbols.length; at++) {
      const rank = merges.findIndex(([left, right]) => left === symbols[at] && right === symbols[at + 1]);
      if (rank !== -1 && (best === undefined || rank < best.rank)) best = { rank, at };
    }
    if (!best) return symbols;
    symbols.splice(best.at, 2, merges[best.rank]![2]);
  }
}

it('merges like the textbook algorithm, on random words and tables', () => {
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  for (let round = 0; round < 200; round++) {
    const merges: [number, number, number][] = [];
    for (let id = 4; id < 24; id++) {
      const [left, right] = [random(id), random(id)];
      if (!merges.some(([l, r]) => l === left && r === right)) merges.push([left, right, id]);
    }
    const table = new MergeTable();
    for (const merge of merges) table.add(...merge);
    const word = Array.from({ length: random(40) }, () => random(4));
    expect(table.merge(word)).toEqual(mergeSlowly(word, merges));
  }
});

it('merges a very long word in reasonable time', () => {
  const table = new MergeTable();
  for (let id = 1; id <= 16; id++) table.add(id - 1, id - 1, id);
  expect(table.merge(new Array<number>(2 ** 17).fill(0))).toEqual([16, 16]);
});
