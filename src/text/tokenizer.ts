// What a tokenizer is to those who use one, and what a file has to say to make one.

export interface Tokenizer {
  /** Ids of a text; nothing is added at its ends. */
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
  /** Tokens that are found in the text before anything else. */
  special: ReadonlyMap<string, number>;
  split: 'qwen2' | 'tekken';
  /** The text is brought to NFC first. */
  nfc: boolean;
  /** A whole word that is a token needs no merges. */
  wholeWords: boolean;
}
