// Which texts condition which step of which picture, and how they combine. Prompts may change from step to step and from
// picture to picture; every distinct text is encoded once.
import type { FamilyRuntime } from '../families/runtime.js';
import type { PromptSyntax } from '../shared/prompt-syntaxes.js';
import { findTags } from '../text/lora-tags.js';
import { findMarks } from '../text/prompt-marks.js';
import { readWeight, type ScheduledText, schedulePrompt, splitPrompts } from '../text/prompt-schedule.js';
import { parseScheduleTree } from '../text/schedule-tree.js';
import type { PipelineRequest } from './types.js';

export interface PromptPair {
  prompt: string;
  negativePrompt: string;
}

export interface PassSteps {
  steps: number;
  firstPassSteps?: number | undefined;
}

/** The prompts of all pictures as distinct texts, and which of them conditions which step. */
export function takeApart(
  request: PipelineRequest,
  { readsSyntax = false }: Pick<FamilyRuntime, 'readsSyntax'>,
) {
  const { prompt, negativePrompt, batch, steps, hires, guidance, clipSkip, embeddings } = request;
  const { promptSyntax: syntax = 'webui' } = request;
  const pairs = request.pictures ?? Array.from({ length: batch }, () => ({ prompt, negativePrompt }));
  const list = new TextList(syntax, readsSyntax);
  const first = pairs.map((pair) => list.schedule(pair, { steps }));
  const second = hires
    ? pairs.map((pair) => list.schedule(pair, { steps: hires.steps, firstPassSteps: steps }))
    : [];
  const { prompts, negativePrompts, combined } = list;
  const options = { guidance, clipSkip, syntax, combined, ...(embeddings && { embeddings }) };
  return {
    first,
    second,
    texts: { ...options, prompts, negativePrompts },
    describe: (title: string) => describeWords(pairs, { syntax, readsSyntax, title }),
  };
}

/** A text by its place in the list of those to encode, and how much it counts. */
export interface WeightedPlace {
  place: number;
  weight: number;
}

/** What one step is conditioned on. */
export interface StepTexts {
  positives: readonly WeightedPlace[];
  negative: number;
}

/** One prompt that AND joins with others: a text for every step. */
interface Part {
  weight: number;
  texts: readonly ScheduledPlace[];
}

interface ScheduledPlace {
  until: number;
  place: number;
}

/** One pass over one picture. */
export class TextSchedule {
  readonly #parts: readonly Part[];
  readonly #negative: readonly ScheduledPlace[];

  constructor(parts: readonly Part[], negative: readonly ScheduledPlace[]) {
    this.#parts = parts;
    this.#negative = negative;
  }

  /** Steps count from 0, the first one that runs. */
  at(step: number): StepTexts {
    const positives = this.#parts.map(({ texts, weight }) => ({ place: placeAt(texts, step), weight }));
    return { positives, negative: placeAt(this.#negative, step) };
  }

  /** All places that some step may ask for. */
  get places(): { positives: Set<number>; negatives: Set<number> } {
    const positives = this.#parts.flatMap(({ texts }) => texts.map(({ place }) => place));
    return {
      positives: new Set(positives),
      negatives: new Set(this.#negative.map(({ place }) => place)),
    };
  }
}

function placeAt(texts: readonly ScheduledPlace[], step: number): number {
  return (texts.find(({ until }) => step < until) ?? texts.at(-1)!).place;
}

/** Gathers the distinct texts of a request while its prompts are taken apart. */
export class TextList {
  readonly prompts: string[] = [];
  readonly negativePrompts: string[] = [];
  /** Whether some picture combines several prompts. */
  combined = false;
  readonly #scheduled: boolean;

  /** Schedules and AND are read in the WebUI's syntax by families that have it; elsewhere they are words. */
  constructor(syntax: PromptSyntax, readsSyntax: boolean) {
    this.#scheduled = syntax === 'webui' && readsSyntax;
  }

  schedule({ prompt, negativePrompt }: PromptPair, steps: PassSteps): TextSchedule {
    const parts = this.#scheduled ? splitPrompts(prompt) : [{ text: prompt, weight: 1 }];
    if (parts.length > 1) this.combined = true;
    const read = (text: string): ScheduledText[] =>
      this.#scheduled ? schedulePrompt(text, steps) : [{ until: steps.steps, text }];
    const place = (list: string[], texts: readonly ScheduledText[]): ScheduledPlace[] =>
      texts.map(({ until, text }) => ({ until, place: placeIn(list, text) }));
    return new TextSchedule(
      parts.map(({ text, weight }) => ({ weight, texts: place(this.prompts, read(text)) })),
      place(this.negativePrompts, read(negativePrompt)),
    );
  }
}

function placeIn(list: string[], text: string): number {
  const known = list.indexOf(text);
  return known === -1 ? list.push(text) - 1 : known;
}

/** For people: what of the prompts has a meaning in other programs and is taken as words here. */
export function describeWords(
  pairs: readonly PromptPair[],
  { syntax, readsSyntax, title }: { syntax: PromptSyntax; readsSyntax: boolean; title: string },
): string[] {
  const tags = pairs.flatMap(({ negativePrompt }) => findTags(negativePrompt));
  const lost = tags.map(
    (tag) => `${tag} is taken as words: only the prompt names LoRAs, not the negative one.`,
  );
  if (syntax === 'plain') return [...new Set(lost)];
  const notes = pairs.flatMap(({ prompt, negativePrompt }) => {
    const texts = [prompt, negativePrompt];
    if (!readsSyntax)
      return texts.flatMap((text) =>
        findMarks(text, 'all').map((mark) => `${mark} is taken as words: ${title} reads no prompt syntax.`),
      );
    if (syntax === 'comfy')
      return texts.flatMap((text) =>
        findMarks(text, 'schedules').map(
          (mark) => `${mark} is taken as words: prompt_syntax is comfy, and webui has it.`,
        ),
      );
    return describeUnread(prompt, negativePrompt);
  });
  return [...new Set([...lost, ...notes])];
}

/** What even the WebUI's syntax does not read. */
function describeUnread(prompt: string, negativePrompt: string): string[] {
  const notes: string[] = [];
  if (splitPrompts(negativePrompt).length > 1) notes.push('AND is a word in a negative prompt.');
  const parts = splitPrompts(prompt);
  const { text, weight } = readWeight(prompt);
  if (parts.length === 1 && text !== prompt.trimEnd())
    notes.push(
      `:${weight} at the end of the prompt is taken as words: only prompts that AND joins have weights.`,
    );
  for (const part of parts.length > 1 ? parts : []) {
    const [, lost] = /\s(:\s*[+-]?(?:\d+\.?\d*|\.\d+))\s/.exec(part.text) ?? [];
    if (lost !== undefined)
      notes.push(`${lost} is taken as words: the weight of a prompt that AND joins is the last thing in it.`);
  }
  for (const one of [prompt, negativePrompt])
    if (!parseScheduleTree(one) && findMarks(one, 'schedules').length > 0)
      notes.push(
        'A | outside of [a|b], or a backslash at the end, keeps the WebUI from reading schedules: [a:b:0.5] and [a|b] are taken as words.',
      );
  return notes;
}
