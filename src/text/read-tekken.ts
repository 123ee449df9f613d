// Mistral's own format of its tokenizer (tekken.json), which lists the bytes of every token by rank and has no merges.
// Two tokens merge if their bytes together are a token, the lowest rank first. Hugging Face's format lists the same
// merges in the same order.
import { z } from 'zod';
import { ImageForgeError } from '../shared/errors.js';
import { byteSymbols } from './byte-symbols.js';
import type { ByteBpeData } from './tokenizer.js';
import { wordPatterns } from './word-patterns.js';

const count = z
  .number()
  .int()
  .nonnegative()
  .max(2 ** 20);
const tekkenJson = z.object({
  config: z.object({ pattern: z.string(), default_vocab_size: count, default_num_special_tokens: count }),
  vocab: z.array(z.object({ token_bytes: z.base64() })).max(2 ** 20),
  special_tokens: z.array(z.object({ rank: count, token_str: z.string() })).min(1),
});

/** Published tokens have at most 128 bytes; with longer ones a hostile file could keep us busy for minutes. */
const longestToken = 256;

/** @throws UNSUPPORTED, WEIGHTS_INVALID */
export function readTekken(value: unknown, file: string): ByteBpeData {
  const parsed = tekkenJson.safeParse(value);
  if (!parsed.success)
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${file} is not a tekken tokenizer with special tokens: ${z.prettifyError(parsed.error)}`,
      { hint: 'Take the tekken.json of Mistral Small 3.2, or a GGUF file of the text encoder.' },
    );
  const { config, vocab, special_tokens } = parsed.data;
  if (config.pattern !== wordPatterns.tekken.source)
    throw new ImageForgeError('UNSUPPORTED', `${file}: its tokenizer splits words by an unknown pattern.`, {
      details: { pattern: config.pattern },
    });
  const firstId = config.default_num_special_tokens;
  const outside = special_tokens.find(({ rank }) => rank >= firstId);
  if (outside)
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${file}: the special token ${outside.token_str} has the rank ${outside.rank}, but there is room for ${firstId}.`,
    );
  const kept = vocab.slice(0, Math.max(0, config.default_vocab_size - firstId));
  const words = kept.map(({ token_bytes }) => toSymbols(Buffer.from(token_bytes, 'base64'), file));
  const tokens: (string | undefined)[] = new Array(firstId).fill(undefined);
  for (const word of words) tokens.push(word);
  return {
    model: 'bpe',
    tokens,
    merges: findMerges(words),
    special: nameSpecials(special_tokens, firstId),
    split: 'tekken',
    nfc: false,
    wholeWords: true,
  };
}

/** The special tokens that the file names, and placeholder names for the slots it reserves. */
function nameSpecials(named: { rank: number; token_str: string }[], room: number): Map<string, number> {
  const taken = new Set(named.map(({ rank }) => rank));
  const special = new Map(named.map(({ rank, token_str }) => [token_str, rank]));
  for (let rank = 0; rank < room; rank++) if (!taken.has(rank)) special.set(`<SPECIAL_${rank}>`, rank);
  return special;
}

function toSymbols(bytes: Buffer, file: string): string {
  if (bytes.length === 0 || bytes.length > longestToken)
    throw new ImageForgeError('WEIGHTS_INVALID', `${file}: a token has ${bytes.length} bytes.`);
  let symbols = '';
  for (const byte of bytes) symbols += byteSymbols[byte]!;
  return symbols;
}

function findMerges(words: readonly string[]): [string, string][] {
  const ranks = new Map(words.map((word, rank) => [word, rank]));
  const merges: [string, string][] = [];
  for (const word of words) {
    const found: { left: number; right: number; at: number }[] = [];
    for (let at = 1; at < word.length; at++) {
      const left = ranks.get(word.slice(0, at));
      const right = left === undefined ? undefined : ranks.get(word.slice(at));
      if (left !== undefined && right !== undefined) found.push({ left, right, at });
    }
    found.sort((a, b) => a.left - b.left || a.right - b.right);
    for (const { at } of found) merges.push([word.slice(0, at), word.slice(at)]);
  }
  return merges;
}
