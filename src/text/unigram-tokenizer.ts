// SentencePiece's unigram tokenizer (Kudo 2018): finds the most probable way to cut a text into pieces, by Viterbi.
import { Charsmap } from './charsmap.js';
import type { Tokenizer, UnigramData } from './tokenizer.js';

/** How much less probable an unknown character is than the rarest piece. */
const unknownPenalty = 10;
const space = '\u2581';

interface Path {
  score: number;
  /** Where the last piece of the path starts, and which piece it is. */
  from: number;
  id: number;
}

export class UnigramTokenizer implements Tokenizer {
  readonly #ids = new Map<string, number>();
  readonly #matches = new Map<string, number>();
  readonly #scores: readonly number[];
  readonly #unknown: number;
  readonly #unknownScore: number;
  readonly #longest: number;
  readonly #charsmap: Charsmap | undefined;

  constructor(data: UnigramData) {
    let lowest = 0;
    let longest = 0;
    for (const [id, piece] of data.pieces.entries()) {
      this.#ids.set(piece, id);
      if (data.special.has(id) || id === data.unknown) continue;
      this.#matches.set(piece, id);
      lowest = Math.min(lowest, data.scores[id]!);
      longest = Math.max(longest, piece.length);
    }
    this.#scores = data.scores;
    this.#unknown = data.unknown;
    this.#unknownScore = lowest - unknownPenalty;
    this.#longest = longest;
    this.#charsmap = data.charsmap && new Charsmap(data.charsmap);
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  encode(text: string): number[] {
    const normalized = (this.#charsmap?.normalize(text) ?? text).replace(/ +/g, ' ').replace(/^ | $/g, '');
    if (normalized === '') return [];
    const ids = this.#mostProbable(space + normalized.replaceAll(' ', space));
    return ids.filter((id, i) => id !== this.#unknown || ids[i - 1] !== this.#unknown); // a run of unknowns is one
  }

  #mostProbable(text: string): number[] {
    const best = new Array<Path | undefined>(text.length + 1);
    best[0] = { score: 0, from: 0, id: this.#unknown };
    const offer = (from: number, to: number, id: number, score: number) => {
      const total = Math.fround(best[from]!.score + score);
      if (best[to] === undefined || total > best[to].score) best[to] = { score: total, from, id };
    };
    for (let from = 0; from < text.length; from++) {
      if (best[from] === undefined) continue; // inside a surrogate pair
      const character = from + (text.codePointAt(from)! > 0xffff ? 2 : 1);
      for (let to = from + 1; to <= Math.min(from + this.#longest, text.length); to++) {
        const id = this.#matches.get(text.slice(from, to));
        if (id !== undefined) offer(from, to, id, this.#scores[id]!);
      }
      if (!this.#matches.has(text.slice(from, character)))
        offer(from, character, this.#unknown, this.#unknownScore);
    }
    const ids: number[] = [];
    for (let at = text.length; at > 0; at = best[at]!.from) ids.push(best[at]!.id);
    return ids.reverse();
  }
}
