// Words that stand for trained vectors (textual inversion, Gal et al. 2022). Finds them in a text and gives them token
// ids, which start where the vocabulary ends.

export interface LearnedWord {
  /** As it stands in the prompt; case doesn't matter. */
  word: string;
  /** Vectors, each in the place of one token. */
  count: number;
}

export class LearnedWords {
  readonly #words: LearnedWord[];
  readonly #pattern: RegExp | undefined;

  constructor(words: readonly LearnedWord[]) {
    this.#words = [...words];
    this.#pattern = words.length > 0 ? matchWords(words.map(({ word }) => word)) : undefined;
  }

  /** Ids of a text. Those of one word are a list, since they stay in one row; `encode` gives the ids of plain text. */
  encode(text: string, encode: (text: string) => number[], vocabulary: number): (number | number[])[] {
    if (!this.#pattern) return encode(text);
    // text and words alternate
    return text.split(this.#pattern).flatMap((part, i): (number | number[])[] => {
      if (i % 2 === 1) return [this.#idsOf(part, vocabulary)];
      return part.trim() === '' ? [] : encode(part);
    });
  }

  #idsOf(part: string, vocabulary: number): number[] {
    let first = vocabulary;
    for (const { word, count } of this.#words) {
      if (word.toLowerCase() === part.toLowerCase())
        return Array.from({ length: count }, (_, i) => first + i);
      first += count;
    }
    throw new RangeError(`${part} is none of the words`);
  }
}

/** A pattern whose one group matches any of the words as a whole; longer words are tried first. */
export function matchWords(words: readonly string[], flags = 'iu'): RegExp {
  const alternatives = [...words].sort((a, b) => b.length - a.length).map(escapePattern);
  return new RegExp(`(?<![\\p{L}\\p{N}_])(${alternatives.join('|')})(?![\\p{L}\\p{N}_])`, flags);
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
