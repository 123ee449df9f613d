// Every published layout among the golden cases is read, and what is read agrees with the cases' own description.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { goldenCase, goldenFolder } from '../../golden.js';

const cases = existsSync(goldenFolder)
  ? readdirSync(goldenFolder).filter((name) => goldenCase(name).present)
  : [];

test.skipIf(cases.length === 0)(
  `golden files have the tensors that their cases count ${goldenCase('e2e-sd1').reason}`,
  async () => {
    let files = 0;
    for (const name of cases) {
      const { files: listed = {} } = goldenCase(name).json<{
        files?: Record<string, { bytes: number; tensors?: number }>;
      }>('case.json');
      for (const [file, facts] of Object.entries(listed)) {
        if (!/\.(gguf|safetensors)$/.test(file)) continue;
        const read = await readWeightFile(join(goldenFolder, name, file));
        files++;
        expect(read.size, file).toBe(facts.bytes);
        if (facts.tensors !== undefined) expect(read.tensors.size, `${name}/${file}`).toBe(facts.tensors);
        const end = Math.max(...[...read.tensors.values()].map((tensor) => tensor.offset + tensor.bytes));
        expect(facts.bytes - end, `${name}/${file}`).toBeLessThan(32);
      }
    }
    expect(files).toBeGreaterThan(40);
  },
);

const qwen = goldenCase('flux2-text-qwen3');
test.skipIf(!qwen.present)(`tokenizer arrays of a GGUF stay readable ${qwen.reason}`, async () => {
  const { metadata, tensors } = await readWeightFile(qwen.path('qwen3.gguf'));
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
  expect(tokens).toHaveLength(605);
  expect(tokens.slice(0, 3)).toEqual(['!', '"', '#']);
  expect(Object.fromEntries(metadata)['tokenizer.ggml.merges']).toContain('Ġ Ġ');
  expect(metadata.get('qwen3.rope.freq_base')).toBe(1e6);
  expect(tensors.get('token_embd.weight')?.shape).toEqual([605, 64]);
});
