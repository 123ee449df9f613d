// The interface of a tokenizer, and the data that a file has to supply for one.

export interface Tokenizer {
  /** Ids of a text, without begin and end. */
  encode(text: string): number[];
  /** The id of a token by its exact text, e.g. '<|endoftext|>'. */
  idOf(token: string): number | undefined;
}

/** SentencePiece's unigram model (T5). */
export interface UnigramData {
  model: 'unigram';
  /** Piece by id. */
  pieces: readonly string[];
  /** Log probability by id. */
  scores: readonly number[];
  /** Ids that never stand for text: padding, end, sentinels. */
  special: ReadonlySet<number>;
  unknown: number;
  /** SentencePiece's compiled normalization, if any. */
  charsmap?: Uint8Array;
}

/** Byte-level BPE (Qwen, Mistral's tekken). */
export interface ByteBpeData {
  model: 'bpe';
  /** Token by id, bytes written as in byte-symbols.ts; undefined where the file leaves a gap. */
  tokens: readonly (string | undefined)[];
  /** Pairs by rank. */
  merges: readonly (readonly [left: string, right: string])[];
  /** Tokens that are looked for in the text before it is split into words. */
  special: ReadonlyMap<string, number>;
  split: 'qwen2' | 'tekken';
  /** The text is brought to NFC first. */
  nfc: boolean;
  /** A word that is a token as a whole becomes that token, without merges. */
  wholeWords: boolean;
}
