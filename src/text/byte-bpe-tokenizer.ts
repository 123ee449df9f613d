// Byte-level BPE as Qwen and Mistral (tekken) use it. It takes out special tokens, splits the rest into words by a
// pattern, and merges their bytes.
import { MergeTable } from './bpe.js';
import { byteSymbols } from './byte-symbols.js';
import type { ByteBpeData, Tokenizer } from './tokenizer.js';
import { wordPatterns } from './word-patterns.js';

const maxTokens = 2 ** 20;

export class ByteBpeTokenizer implements Tokenizer {
  readonly #data: ByteBpeData;
  readonly #ids = new Map<string, number>();
  readonly #byteIds: number[];
  readonly #merges = new MergeTable();
  readonly #specials: RegExp | undefined;
  readonly #words: RegExp;

  /** @throws RangeError that names what is missing */
  constructor(data: ByteBpeData) {
    if (data.tokens.length > maxTokens || data.merges.length > maxTokens)
      throw new RangeError(
        `it has ${data.tokens.length} tokens and ${data.merges.length} merges; ${maxTokens} are possible`,
      );
    this.#data = data;
    this.#words = wordPatterns[data.split].pattern;
    for (const [id, token] of data.tokens.entries()) if (token !== undefined) this.#ids.set(token, id);
    for (const [token, id] of data.special) this.#ids.set(token, id);
    this.#byteIds = byteSymbols.map((symbol) => this.#require(symbol));
    for (const [left, right] of data.merges)
      this.#merges.add(this.#require(left), this.#require(right), this.#require(left + right));
    const longestFirst = [...data.special.keys()].sort((a, b) => b.length - a.length);
    if (longestFirst.length > 0) this.#specials = new RegExp(`(${longestFirst.map(escapeRegExp).join('|')})`);
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  encode(text: string): number[] {
    const parts = this.#specials ? text.split(this.#specials) : [text];
    return parts.flatMap((part, i) =>
      i % 2 === 1 ? this.#data.special.get(part)! : this.#encodePlain(part),
    );
  }

  #encodePlain(text: string): number[] {
    const normalized = this.#data.nfc ? text.normalize('NFC') : text;
    return Array.from(normalized.matchAll(this.#words)).flatMap(([word]) => this.#encodeWord(word));
  }

  #encodeWord(word: string): number[] {
    const bytes = [...Buffer.from(word, 'utf8')];
    if (this.#data.wholeWords) {
      const whole = this.#ids.get(bytes.map((byte) => byteSymbols[byte]).join(''));
      if (whole !== undefined) return [whole];
    }
    return this.#merges.merge(bytes.map((byte) => this.#byteIds[byte]!));
  }

  #require(token: string): number {
    const id = this.#ids.get(token);
    if (id === undefined) throw new RangeError(`the token ${JSON.stringify(token)} is missing`);
    return id;
  }
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
