// Emphasis as in the Stable Diffusion WebUI: (x) weighs 1.1, [x] 1/1.1, (x:1.3) 1.3. Brackets nest, and their weights
// multiply; an open one without its partner lasts to the end. A backslash makes the next bracket text. BREAK starts a
// new row.

import { ImageForgeError } from '../shared/errors.js';
import { shorten } from './prompt-marks.js';

export interface WeightedText {
  text: string;
  weight: number;
}

/** Whether a piece is the mark between two rows: only there BREAK has a weight below zero. */
export function isBreak({ text, weight }: WeightedText): boolean {
  return text === 'BREAK' && weight < 0;
}

const roundWeight = 1.1;
const squareWeight = 1 / 1.1;

const lexeme = new RegExp(
  [
    String.raw`\\(?<escaped>[()[\]\\])`,
    String.raw`(?<backslash>\\)`,
    '(?<open>[([])',
    String.raw`:\s*(?<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)`,
    String.raw`(?<close>[)\]])`,
    String.raw`(?<plain>[^\\()[\]:]+|:)`,
  ].join('|'),
  'gu',
);

/** Pieces of the prompt in their order, at least one. Neighbours of the same weight are joined. */
export function parsePromptWeights(prompt: string): WeightedText[] {
  const pieces: WeightedText[] = [];
  const openRound: number[] = [];
  const openSquare: number[] = [];

  const add = (text: string) => pieces.push({ text, weight: 1 });
  const weigh = (from: number, weight: number) => {
    for (const piece of pieces.slice(from)) piece.weight *= weight;
  };

  for (const { 0: found, groups = {} } of prompt.matchAll(lexeme)) {
    const { escaped, backslash, open, weight, close } = groups;
    if (escaped !== undefined) add(escaped);
    else if (backslash !== undefined) continue;
    else if (open === '(') openRound.push(pieces.length);
    else if (open === '[') openSquare.push(pieces.length);
    else if (weight !== undefined && openRound.length > 0) weigh(openRound.pop()!, Number(weight));
    else if (close === ')' && openRound.length > 0) weigh(openRound.pop()!, roundWeight);
    else if (close === ']' && openSquare.length > 0) weigh(openSquare.pop()!, squareWeight);
    else addWithBreaks(found, add, pieces);
  }
  for (const from of openRound) weigh(from, roundWeight);
  for (const from of openSquare) weigh(from, squareWeight);

  return pieces.length > 0 ? joinEqual(pieces) : [{ text: '', weight: 1 }];
}

/** Far beyond what draws anything, and far below what overflows when a state is multiplied by it. */
const largestWeight = 1e6;

/** @throws ImageForgeError INVALID_ARGUMENT for emphasis or a share of AND that would leave no numbers of the picture */
export function requireUsableWeights(pieces: readonly WeightedText[]): void {
  const beyond = pieces.find(({ weight }) => !(Math.abs(weight) <= largestWeight));
  if (!beyond) return;
  throw new ImageForgeError(
    'INVALID_ARGUMENT',
    `prompt: expected weights of at most ${largestWeight}, found ${beyond.weight} for "${shorten(beyond.text.trim())}".`,
    {
      hint: 'Take brackets away, or write \\( and \\) where they are text.',
      details: { fields: ['prompt'] },
    },
  );
}

const breakWord = /(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])/u;

function addWithBreaks(text: string, add: (text: string) => void, pieces: WeightedText[]): void {
  const parts = text.split(breakWord);
  for (const [i, part] of parts.entries()) {
    if (i > 0) pieces.push({ text: 'BREAK', weight: -1 });
    const begun = i > 0 ? part.trimStart() : part;
    add(i < parts.length - 1 ? begun.trimEnd() : begun);
  }
}

function joinEqual(pieces: WeightedText[]): WeightedText[] {
  const joined: WeightedText[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last?.weight === piece.weight) last.text += piece.text;
    else joined.push({ ...piece });
  }
  return joined;
}
