// Every weight file of the golden cases can be read, and agrees with what its case says about it.
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { goldenCase, goldenFolder } from '../../golden.js';

const files = readdirSync(goldenFolder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name }) =>
    Object.entries(goldenCase(name).facts.files ?? {})
      .filter(([file]) => /\.(gguf|safetensors)$/.test(file))
      .map(([file, facts]) => ({ name, file, facts })),
  );

test.each(files)('$name/$file has the tensors that its case counts', async ({ name, file, facts }) => {
  const read = await readWeightFile(goldenCase(name).path(file));
  expect(read.size).toBe(facts.bytes);
  if (facts.tensors !== undefined) expect(read.tensors.size).toBe(facts.tensors);
  const end = Math.max(...[...read.tensors.values()].map((tensor) => tensor.offset + tensor.bytes));
  expect(facts.bytes - end).toBeLessThan(32);
});

test('the tokenizer arrays of a GGUF file stay readable', async () => {
  const qwen = goldenCase('flux2-text-qwen3');
  const { width, vocab, rope_theta } = qwen.config<{ width: number; vocab: number; rope_theta: number }>();
  interface Tokenizer {
    model: { vocab: Record<string, number>; merges: (string | [string, string])[] };
    added_tokens: { id: number; content: string }[];
  }
  const { model, added_tokens } = qwen.json<Tokenizer>('tokenizer.json');
  const { metadata, tensors } = await readWeightFile(qwen.weights('gguf'));
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
  expect(tokens).toHaveLength(vocab);
  for (const [token, id] of Object.entries(model.vocab)) expect(tokens[id]).toBe(token);
  for (const { id, content } of added_tokens) expect(tokens[id]).toBe(content);
  const merges = model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
  expect(metadata.get('tokenizer.ggml.merges')).toEqual(merges);
  expect(metadata.get('qwen3.rope.freq_base')).toBe(rope_theta);
  expect(tensors.get('token_embd.weight')?.shape).toEqual([vocab, width]);
});
