// CLIP's tokenizer: byte-level BPE over 49408 entries (OpenAI's published vocabulary, MIT licence), for the text
// encoders of SD 1.x, SD 2.x, SDXL and FLUX.1. The merges are in assets/clip-merges.bin and are loaded on first use.
import { readFileSync } from 'node:fs';
import { MergeTable } from './bpe.js';
import { byteOrder } from './byte-symbols.js';
import { cleanAsHuggingFace, cleanAsOpenClip } from './clip-clean.js';

export const clipBegin = 49406;
export const clipEnd = 49407;
/** Ids in one row of the text encoder, begin and end included. */
export const clipRowLength = 77;

/** Whose cleaning of the text: Hugging Face's, or OpenCLIP's, which repairs and unescapes it first. */
export type ClipCleaning = 'huggingface' | 'openclip';

/** Ids of the text, without begin, end and padding. */
export function encodeClip(text: string, cleaning: ClipCleaning = 'huggingface'): number[] {
  if (cleaning === 'huggingface') {
    const parts = text.split(/(<\|startoftext\|>|<\|endoftext\|>)/);
    return encodeParts(parts, '<|startoftext|>', (part) => encodeWords(cleanAsHuggingFace(part)));
  }
  const parts = cleanAsOpenClip(text).split(/(<start_of_text>|<end_of_text>)/);
  return encodeParts(parts, '<start_of_text>', encodeWords);
}

/** Encodes text and special tokens, which alternate. */
function encodeParts(parts: string[], begin: string, encode: (text: string) => number[]): number[] {
  return parts.flatMap((part, i) => {
    if (i % 2 === 0) return encode(part);
    return part === begin ? clipBegin : clipEnd;
  });
}

/** One row of 77 ids: begin, at most 75 ids, end, then `padding` (49407 for CLIP-L, 0 for OpenCLIP). */
export function padClip(ids: readonly number[], padding: number): Int32Array {
  const row = new Int32Array(clipRowLength).fill(padding);
  row.set([clipBegin, ...ids.slice(0, clipRowLength - 2), clipEnd]);
  return row;
}

const words = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;

function encodeWords(text: string): number[] {
  return Array.from(text.matchAll(words)).flatMap(([word]) => encodeWord(word));
}

// Ids 0 … 255 are bytes inside a word, 256 … 511 the same bytes at its end, 512 … the merges by rank.
function encodeWord(text: string): number[] {
  const symbols = Array.from(Buffer.from(text, 'utf8'), (byte) => byteIds[byte]!);
  symbols[symbols.length - 1]! += 256;
  return merges().merge(symbols);
}

const byteIds = new Uint8Array(256);
for (const [id, byte] of byteOrder.entries()) byteIds[byte] = id;

let loaded: MergeTable | undefined;

function merges(): MergeTable {
  loaded ??= readMerges();
  return loaded;
}

/** Little-endian pairs of 16-bit ids in order of rank. */
function readMerges(): MergeTable {
  const bytes = readFileSync(new URL('../../assets/clip-merges.bin', import.meta.url));
  const table = new MergeTable();
  for (let at = 0, id = 512; at < bytes.length; at += 4, id++)
    table.add(bytes.readUInt16LE(at), bytes.readUInt16LE(at + 2), id);
  return table;
}
