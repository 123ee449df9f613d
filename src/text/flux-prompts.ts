// Prompt -> the row of ids that each FLUX text encoder takes, with the templates and padding of the reference programs.
import { ImageForgeError } from '../shared/errors.js';
import type { Tokenizer } from './tokenizer.js';

export interface PromptRow {
  ids: Int32Array;
  /** 1 for the prompt and its template, 0 for padding. */
  mask: Uint8Array;
  /** Tokens at the end that found no room. */
  dropped: number;
}

/** Ids in a row: FLUX.1-dev and FLUX.2; FLUX.1-schnell takes 256. */
export const fluxRowLength = 512;

/** T5 of FLUX.1: the prompt, its end, padding on the right (which its encoder sees: no mask goes to it). */
export function encodeT5Prompt(
  tokenizer: Tokenizer,
  prompt: string,
  length: number = fluxRowLength,
): PromptRow {
  const end = requireToken(tokenizer, '</s>');
  const ids = tokenizer.encode(prompt);
  const row = [...ids.slice(0, length - 1), end];
  const dropped = Math.max(0, ids.length - (length - 1));
  return { ...layOut(row, length, requireToken(tokenizer, '<pad>'), 'right'), dropped };
}

/** Qwen3 of FLUX.2 klein: one user turn and the opening of an answer without thoughts, padding on the right. */
export function encodeQwenPrompt(
  tokenizer: Tokenizer,
  prompt: string,
  length: number = fluxRowLength,
): PromptRow {
  const text = `<|im_start|>user\n${prompt}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n`;
  return layOut(tokenizer.encode(text), length, requireToken(tokenizer, '<|endoftext|>'), 'right');
}

// The line break in the middle belongs to it.
const mistralSystemText =
  'You are an AI that reasons about image descriptions. You give structured responses focusing on object ' +
  'relationships, object\nattribution and actions without speculation.';

/** Mistral of FLUX.2 dev: system text, one instruction, padding on the left. */
export function encodeMistralPrompt(
  tokenizer: Tokenizer,
  prompt: string,
  length: number = fluxRowLength,
): PromptRow {
  const plain = prompt.replaceAll('[IMG]', ''); // stands for a picture that is not there
  const text = `<s>[SYSTEM_PROMPT]${mistralSystemText}[/SYSTEM_PROMPT][INST]${plain}[/INST]`;
  return layOut(tokenizer.encode(text), length, requireToken(tokenizer, '<pad>'), 'left');
}

/** A prompt that is too long loses its end. */
function layOut(ids: number[], length: number, padding: number, side: 'left' | 'right'): PromptRow {
  const kept = ids.slice(0, length);
  const at = side === 'left' ? length - kept.length : 0;
  const row = { ids: new Int32Array(length).fill(padding), mask: new Uint8Array(length) };
  row.ids.set(kept, at);
  row.mask.fill(1, at, at + kept.length);
  return { ...row, dropped: ids.length - kept.length };
}

/** For people: that the end of a prompt was not read; nothing where all of it was. */
export function describeDropped(reader: string, tokens: number): string[] {
  if (tokens <= 0) return [];
  return [
    `The prompt is too long for ${reader}: the last ${tokens === 1 ? 'token was' : `${tokens} tokens were`} not read.`,
  ];
}

function requireToken(tokenizer: Tokenizer, token: string): number {
  const id = tokenizer.idOf(token);
  if (id === undefined)
    throw new ImageForgeError('WEIGHTS_INVALID', `The text encoder's tokenizer has no token ${token}.`, {
      hint: 'Take the tokenizer that was published with the text encoder.',
    });
  return id;
}
