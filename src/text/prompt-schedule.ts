// Prompts that change while a picture is drawn, as the Stable Diffusion WebUI writes them: [from:to:when], [to:when],
// [from::when], and [a|b], which takes turns. The rules are those of WebUI 1.6 and later.
import { requireUsableWeights } from './prompt-weights.js';
import { parseScheduleTree, type ScheduleNode } from './schedule-tree.js';

export interface ScheduledText {
  /** The last step that this text conditions; steps count from 1. */
  until: number;
  text: string;
}

export interface ScheduleSteps {
  /** Steps of this pass. */
  steps: number;
  /** Steps of the first pass, where this is the second one. */
  firstPassSteps?: number | undefined;
}

/**
 * The texts of a prompt in their order; the last one ends with the last step. A `when` with a point is a share of the
 * steps, one without is a number of steps: 1.0 is all of them, 1 is the first. The second pass goes on counting where
 * the first one stopped: its shares run from 1.0 to 2.0, its steps follow the first pass's.
 */
export function schedulePrompt(prompt: string, { steps, firstPassSteps }: ScheduleSteps): ScheduledText[] {
  const tree = parseScheduleTree(prompt);
  if (!tree) return [{ until: steps, text: prompt }];

  const stepOf = (when: string): number => {
    const value = Number(when);
    const inPass = when.includes('.')
      ? (value - (firstPassSteps === undefined ? 0 : 1)) * steps
      : value - (firstPassSteps ?? 0);
    return Math.min(steps, Math.trunc(inPass));
  };
  const choose = (node: Choice, step: number): readonly ScheduleNode[] =>
    node.kind === 'switch'
      ? step <= stepOf(node.when)
        ? node.from
        : node.to
      : node.choices[(step - 1) % node.choices.length]!;

  const ends = findEnds(tree, steps, stepOf);
  return ends.map((until) => ({ until, text: textOf(tree, (node) => choose(node, until)) }));
}

type Choice = Exclude<ScheduleNode, string | { kind: 'group' }>;

/** Brackets may nest thousands deep, so this keeps its own stack. */
function textOf(tree: readonly ScheduleNode[], choose: (node: Choice) => readonly ScheduleNode[]): string {
  let text = '';
  const waiting = [...tree].reverse();
  const wait = (nodes: readonly ScheduleNode[]) => {
    for (let i = nodes.length - 1; i >= 0; i--) waiting.push(nodes[i]!);
  };
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (typeof node === 'string') text += node;
    else if (node.kind === 'group') {
      waiting.push(node.close);
      wait(node.content);
      waiting.push(node.open);
    } else wait(choose(node));
  }
  return text;
}

/** The steps after which the text may be another one, in their order. */
function findEnds(
  tree: readonly ScheduleNode[],
  steps: number,
  stepOf: (when: string) => number,
): readonly number[] {
  const ends = new Set([steps]);
  const waiting = [...tree];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (typeof node === 'string') continue;
    if (node.kind === 'turns') return Array.from({ length: steps }, (_, i) => i + 1);
    if (node.kind === 'group') waiting.push(...node.content);
    else {
      if (stepOf(node.when) >= 1) ends.add(stepOf(node.when));
      waiting.push(...node.from, ...node.to);
    }
  }
  return [...ends].sort((a, b) => a - b);
}

/** One of the prompts that AND joins, and how much it counts. */
export interface PromptPart {
  text: string;
  weight: number;
}

const andWord = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/u;
const weightPattern = /^[+-]?(?:\d+\.?|\d*\.\d+)$/;

/**
 * The prompts that AND joins ("a cat :1.2 AND a dog"), each with its weight; AND splits before anything else is read.
 * A prompt without AND is one part, and its last ":2" is text: "at 10:30" is no weight.
 */
export function splitPrompts(prompt: string): PromptPart[] {
  const texts = prompt.split(andWord);
  if (texts.length === 1) return [{ text: prompt, weight: 1 }];
  const parts = texts.map(readWeight);
  requireUsableWeights(parts);
  return parts;
}

/** The text without the weight at its end, if it has one. */
export function readWeight(part: string): PromptPart {
  const text = part.trimEnd();
  const colon = text.lastIndexOf(':');
  const weight = text.slice(colon + 1).trimStart();
  if (colon === -1 || !weightPattern.test(weight)) return { text, weight: 1 };
  return { text: text.slice(0, colon).trimEnd(), weight: Number(weight) };
}
