// A byte-level tokenizer as GGUF metadata (llama.cpp's tokenizer.ggml.* keys), which read-gguf-tokenizer.ts reads back.
import type { GgufValue } from '../weights/write-gguf.js';
import type { ByteBpeData } from './tokenizer.js';

const [arrayType, stringType, i32Type] = [9, 8, 5];
/** llama.cpp's token types. */
const [normal, control, unused] = [1, 3, 5];

export function describeTokenizer({ tokens, merges, special, split }: ByteBpeData): Map<string, GgufValue> {
  const names = new Map([...special].map(([name, id]) => [id, name]));
  const length = Math.max(tokens.length, ...[...names.keys()].map((id) => id + 1));
  const all = Array.from({ length }, (_, id) => names.get(id) ?? tokens[id]);
  const types = all.map((token, id) => (names.has(id) ? control : token === undefined ? unused : normal));
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: split }],
    ['tokenizer.ggml.tokens', strings(all.map((token, id) => token ?? `[PAD${id}]`))],
    ['tokenizer.ggml.token_type', { type: 'raw', value: array(i32Type, length, [int32s(types)]) }],
    ['tokenizer.ggml.merges', strings(merges.map((pair) => pair.join(' ')))],
  ]);
}

function strings(texts: readonly string[]): GgufValue {
  const parts = texts.flatMap((text) => {
    const bytes = Buffer.from(text);
    return [u64(bytes.length), bytes];
  });
  return { type: 'raw', value: array(stringType, texts.length, parts) };
}

function array(type: number, length: number, parts: Buffer[]): Uint8Array {
  return Buffer.concat([int32s([arrayType, type]), u64(length), ...parts]);
}

function int32s(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeInt32LE(value, 4 * i);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
