// Prompt weights as in ComfyUI: (x) is 1.1 times the weight around it, (x:1.3) is 1.3 whatever is around it. Square
// brackets are text; \( and \) are plain brackets.
import type { WeightedText } from './prompt-weights.js';

// stand for escaped brackets while the others are counted; no prompt has them
const escapedOpen = '\u{f0000}';
const escapedClose = '\u{f0001}';
const roundWeight = 1.1;
const number = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;

/** Pieces of the prompt in order; neighbours are not joined, since their tokens stay together. */
export function parseComfyWeights(prompt: string): WeightedText[] {
  const pieces: WeightedText[] = [];
  const waiting: WeightedText[] = [
    { text: prompt.replaceAll('\\)', escapedClose).replaceAll('\\(', escapedOpen), weight: 1 },
  ];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { text, weight } = next;
    const parts = splitBrackets(text);
    if (parts.length === 1 && !isBracketed(text)) {
      pieces.push({ text: text.replaceAll(escapedClose, ')').replaceAll(escapedOpen, '('), weight });
      continue;
    }
    for (const part of parts.reverse())
      waiting.push(isBracketed(part) ? weigh(part.slice(1, -1), weight) : { text: part, weight });
  }
  return pieces;
}

function isBracketed(text: string): boolean {
  return text.length >= 2 && text.startsWith('(') && text.endsWith(')');
}

function weigh(inner: string, around: number): WeightedText {
  const colon = inner.lastIndexOf(':');
  if (colon > 0 && number.test(inner.slice(colon + 1)))
    return { text: inner.slice(0, colon), weight: Number(inner.slice(colon + 1)) };
  return { text: inner, weight: around * roundWeight };
}

/** Cuts a text where brackets open and close on its own level. */
function splitBrackets(text: string): string[] {
  const parts: string[] = [];
  let from = 0;
  let level = 0;
  const cut = (to: number) => {
    if (to > from) parts.push(text.slice(from, to));
    from = to;
  };
  for (const { index, 0: bracket } of text.matchAll(/[()]/g)) {
    if (bracket === '(') {
      if (level === 0) cut(index);
      level++;
    } else {
      level--;
      if (level === 0) cut(index + 1);
    }
  }
  cut(text.length);
  return parts;
}
