// Long prompts become rows of 77 ids with their weights. Each row holds 75 tokens between its own begin and end; the
// text encoder runs once per row, and the states are concatenated.
import { clipBegin, clipEnd, clipRowLength } from './clip-tokenizer.js';
import { isBreak, type WeightedText } from './prompt-weights.js';

export interface Chunk {
  /** 77 ids: begin, tokens, end, padding. */
  ids: Int32Array;
  /** 77 weights; begin, end and padding have 1. */
  weights: Float32Array;
}

export interface ChunkOptions {
  /** Ids of a text, without begin and end; those in a list stay in one row. */
  encode: (text: string) => (number | number[])[];
  /** 49407 for CLIP-L, 0 for OpenCLIP. */
  padding: number;
}

interface WeightedToken {
  id: number;
  weight: number;
}

/** Tokens of a row between begin and end. */
export const rowCapacity = clipRowLength - 2;
const comma = 267;
/** A row that overflows within this many tokens of its last comma ends there instead (the WebUI's default). */
const commaReach = 20;
/** ComfyUI moves a group of fewer tokens to the next row rather than cut it. */
const cutFrom = 8;

/** Rows as the WebUI lays them out: at least one; BREAK ends a row wherever it stands. */
export function chunkPrompt(pieces: readonly WeightedText[], options: ChunkOptions): Chunk[] {
  const rows: WeightedToken[][] = [[]];
  for (const piece of pieces) {
    if (isBreak(piece)) {
      rows.push([]);
      continue;
    }
    for (const id of options.encode(piece.text)) {
      const row = rows.at(-1)!;
      if (typeof id !== 'number') {
        const tokens = id.map((id) => ({ id, weight: piece.weight }));
        if (row.length + tokens.length <= rowCapacity) row.push(...tokens);
        else rows.push(tokens);
        continue;
      }
      const token = { id, weight: piece.weight };
      if (row.length < rowCapacity) row.push(token);
      else rows.push([...(id === comma ? [] : takeAfterComma(row)), token]);
    }
  }
  if (rows.length > 1 && rows.at(-1)!.length === 0) rows.pop(); // nothing follows the last BREAK
  return rows.map((row) => layOut(row, options.padding));
}

/** Rows as ComfyUI lays them out: at least one; a short group of tokens that does not fit begins the next row. */
export function chunkComfyPrompt(
  pieces: readonly WeightedText[],
  { encode, padding }: ChunkOptions,
): Chunk[] {
  const rows: WeightedToken[][] = [[]];
  for (const { text, weight } of pieces) {
    for (const group of joinTokens(encode(text))) {
      const rest = group.map((id) => ({ id, weight }));
      while (rest.length > rowCapacity - rows.at(-1)!.length) {
        const row = rows.at(-1)!;
        if (group.length >= cutFrom) row.push(...rest.splice(0, rowCapacity - row.length));
        rows.push([]);
      }
      rows.at(-1)!.push(...rest);
    }
  }
  return rows.map((row) => layOut(row, padding));
}

/** Groups: learned words by themselves, the tokens between them together. */
function joinTokens(ids: readonly (number | number[])[]): number[][] {
  const groups: number[][] = [];
  let open = false;
  for (const id of ids) {
    if (typeof id !== 'number') groups.push(id);
    else if (open) groups.at(-1)!.push(id);
    else groups.push([id]);
    open = typeof id === 'number';
  }
  return groups;
}

/** Takes what follows the row's last comma out of it, where that is little enough. */
function takeAfterComma(row: WeightedToken[]): WeightedToken[] {
  const last = row.findLastIndex(({ id }) => id === comma);
  return last === -1 || row.length - last > commaReach ? [] : row.splice(last + 1);
}

function layOut(row: readonly WeightedToken[], padding: number): Chunk {
  const ids = new Int32Array(clipRowLength).fill(padding);
  const weights = new Float32Array(clipRowLength).fill(1);
  ids[0] = clipBegin;
  for (const [i, token] of row.entries()) {
    ids[i + 1] = token.id;
    weights[i + 1] = token.weight;
  }
  ids[row.length + 1] = clipEnd;
  return { ids, weights };
}

/** The row without words. */
export function emptyChunk(padding: number): Chunk {
  return layOut([], padding);
}

/** Adds empty rows up to `count`. */
export function padChunks(chunks: readonly Chunk[], count: number, padding: number): Chunk[] {
  const missing = Math.max(0, count - chunks.length);
  return [...chunks, ...Array.from({ length: missing }, () => emptyChunk(padding))];
}
