// Prompts with choices, as the dynamic prompts extension of the WebUI writes them: {a|b} is one of the two, {2::a|b}
// weighs them, {2$$a|b|c} is two of them, and __name__ is a line of a file.
import { ImageForgeError } from '../shared/errors.js';
import { isJson, shorten } from './prompt-marks.js';
import { choose, type Random } from './random-choices.js';

/** The files of lines, by their names without ending; folders are parted by "/". */
export interface Wildcards {
  /** For people: where they are looked for. */
  folder: string;
  names(): readonly string[];
  /** Lines of one that is among the names. */
  read(name: string): readonly string[];
}

/** How deep files may name files, and braces stand in braces. */
const deepest = 20;
/** More text than any prompt may have. */
const longest = 100_000;

interface Option {
  text: string;
  weight: number;
}

// an escaped brace or wildcard, a wildcard, a brace, any other character
const lexeme = /\\(?<plain>[{}]|__)|__(?<name>(?:[^_{}|\r\n]|_(?!_))+)__|(?<brace>\{)|[^\\_{]+|[\s\S]/gu;
/** What nobody writes between underscores by chance; other names are wildcards only where there is a file. */
const usualName = /^[\p{L}\p{N}*][\p{L}\p{N} ./*_-]*$/u;

/** Whether a prompt may hold choices; a prompt in JSON has none. */
export function hasChoices(prompt: string): boolean {
  return /[{}]|__/.test(prompt) && !isJson(prompt);
}

/**
 * The prompt with its choices made. Braces without a bar or a count are text, and so is a prompt in JSON.
 * @throws ImageForgeError INVALID_ARGUMENT for a wildcard that is unknown, or choices that cannot be made
 */
export function expandWildcards(prompt: string, wildcards: Wildcards, random: Random): string {
  return hasChoices(prompt) ? new Expansion(wildcards, random).expand(prompt, []) : prompt;
}

class Expansion {
  readonly #wildcards: Wildcards;
  readonly #random: Random;
  #length = 0;

  constructor(wildcards: Wildcards, random: Random) {
    this.#wildcards = wildcards;
    this.#random = random;
  }

  /** @param within names and braces that this text stands in */
  expand(text: string, within: readonly string[]): string {
    if (within.length > deepest)
      throw refuse(`${within[0]} leads to choices that are nested more than ${deepest} deep`, {
        hint: 'Look for a wildcard whose lines name itself.',
      });
    this.#length += text.length;
    if (this.#length > longest) throw refuse(`its wildcards make more than ${longest} characters of it`);
    let expanded = '';
    for (let at = 0; at < text.length; ) {
      lexeme.lastIndex = at;
      const { 0: found, groups = {} } = lexeme.exec(text)!;
      at += found.length;
      if (groups.plain !== undefined) expanded += groups.plain;
      else if (groups.name !== undefined && this.#isWildcard(groups.name))
        expanded += this.#takeLine(groups.name, within);
      else if (groups.name !== undefined) {
        expanded += '_'; // what follows may be one yet
        at += 1 - found.length;
      } else if (groups.brace === undefined) expanded += found;
      else {
        const inner = readBraces(text, at);
        const chosen = inner === undefined ? undefined : this.#chooseVariant(inner, within);
        if (inner === undefined || chosen === undefined) expanded += found;
        else {
          expanded += chosen;
          at += inner.length + 1;
        }
      }
    }
    return expanded;
  }

  #isWildcard(name: string): boolean {
    return usualName.test(name) || this.#find(name) !== undefined;
  }

  #find(name: string): string | undefined {
    const names = this.#wildcards.names();
    return names.find((one) => one === name) ?? names.find((one) => one.toLowerCase() === name.toLowerCase());
  }

  #takeLine(name: string, within: readonly string[]): string {
    return this.expand(choose(this.#readLines(name), this.#random).text, [...within, `__${name}__`]);
  }

  /** All lines of the files that a name means; "*" stands for any characters, but "/" only as "**". */
  #readLines(name: string): Option[] {
    const names = this.#wildcards.names();
    const pattern = name.includes('*') ? toPattern(name) : undefined;
    const found = pattern ? names.filter((one) => pattern.test(one)) : [this.#find(name)];
    const lines = found.flatMap((one) => (one === undefined ? [] : this.#wildcards.read(one)));
    if (lines.length > 0) return lines.map(readOption);
    const what = found.some((one) => one !== undefined) ? 'has no lines' : 'is no wildcard';
    throw refuse(`__${name}__ ${what} in ${this.#wildcards.folder}`, {
      hint: `${listNames(names)} Write \\__ where two underscores are text.`,
    });
  }

  /** Undefined where the braces are text. */
  #chooseVariant(inner: string, within: readonly string[]): string | undefined {
    if (/^\s*"[^"]*"\s*:/.test(inner)) return undefined; // an object in JSON
    const whole = shorten(`{${inner}}`);
    const place = [...within, whole];
    const { count, separator, body } = readCount(inner);
    const parts = splitBars(body);
    if (!count) {
      if (parts.length === 1) return undefined;
      return this.expand(pick(parts.map(readOption), this.#random, whole).text, place);
    }
    const [name] = parts.length === 1 ? (/^\s*__([^{}|]+)__\s*$/.exec(body)?.slice(1) ?? []) : [];
    const left = name === undefined ? parts.map(readOption) : this.#readLines(name);
    const most = Math.min(count.most, left.length);
    if (count.least > left.length || count.least > count.most)
      throw refuse(`${whole} asks for ${describeCount(count)} of ${left.length} choices`);
    const wanted = count.least + Math.floor(this.#random() * (most - count.least + 1));
    const chosen: string[] = [];
    while (chosen.length < wanted) {
      const option = pick(left, this.#random, whole);
      left.splice(left.indexOf(option), 1);
      chosen.push(this.expand(option.text, place));
    }
    return chosen.join(separator);
  }
}

function pick(options: readonly Option[], random: Random, whole: string): Option {
  if (options.every(({ weight }) => weight === 0))
    throw refuse(`${whole} leaves no choice: its weights are 0`);
  return choose(options, random);
}

/** What stands between a brace and its closing one; undefined where that is missing. */
function readBraces(text: string, from: number): string | undefined {
  let level = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '{') level++;
    else if (text[at] === '}' && --level === 0) return text.slice(from, at);
  }
  return undefined;
}

/** At the bars that are not inside of braces. */
function splitBars(text: string): string[] {
  const parts = [''];
  let level = 0;
  for (const [piece] of text.matchAll(/\\[\s\S]|[{}|]|[^\\{}|]+|\\/g)) {
    if (piece === '{') level++;
    if (piece === '}') level--;
    if (piece === '|' && level === 0) parts.push('');
    else parts[parts.length - 1] += piece === '\\|' ? '|' : piece;
  }
  return parts;
}

/** "2::red" is twice as likely as "red". */
function readOption(text: string): Option {
  const [, weight, rest] = /^\s*(\d+\.?\d*|\.\d+)::([\s\S]*)$/.exec(text) ?? [];
  return weight === undefined ? { text, weight: 1 } : { text: rest!, weight: Number(weight) };
}

interface Count {
  least: number;
  most: number;
}

/** "2$$", "1-3$$", "-2$$", "2-$$", each also with a separator behind it: "2$$ and $$". */
function readCount(inner: string): { count?: Count; separator: string; body: string } {
  const [whole, from, dash, to] = /^\s*(\d*)(-?)(\d*)\$\$/.exec(inner) ?? [];
  if (whole === undefined || (from === '' && to === '')) return { separator: '', body: inner };
  const least = from === '' ? 0 : Number(from);
  const most = dash === '' ? least : to === '' ? Number.POSITIVE_INFINITY : Number(to);
  const rest = inner.slice(whole.length);
  const [, separator] = /^([^|{}]*?)\$\$/.exec(rest) ?? [];
  const body = separator === undefined ? rest : rest.slice(separator.length + 2);
  return { count: { least, most }, separator: separator ?? ', ', body };
}

function describeCount({ least, most }: Count): string {
  if (least === most) return String(least);
  return most === Number.POSITIVE_INFINITY ? `at least ${least}` : `${least} to ${most}`;
}

function toPattern(name: string): RegExp {
  const source = name
    .split(/(\*+)/)
    .map((part, i) =>
      i % 2 === 0 ? part.replace(/[\\^$.+?()[\]{}|]/g, '\\$&') : part === '*' ? '[^/]*' : '.*',
    );
  return new RegExp(`^${source.join('')}$`, 'iu');
}

const named = 20;

function listNames(names: readonly string[]): string {
  if (names.length === 0) return 'There are none: a wildcard is a .txt file there.';
  const more = names.length > named ? ` and ${names.length - named} more` : '';
  return `Available: ${names.slice(0, named).join(', ')}${more}.`;
}

function refuse(problem: string, { hint }: { hint?: string } = {}): ImageForgeError {
  return new ImageForgeError('INVALID_ARGUMENT', `prompt: ${problem}.`, {
    ...(hint !== undefined && { hint }),
    details: { fields: ['prompt'] },
  });
}

/** The lines of a wildcard's file: one choice each, without comments (#) and empty ones. */
export function readWildcardLines(text: string): string[] {
  return text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
