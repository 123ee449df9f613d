import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encodeMistralPrompt, encodeQwenPrompt, encodeT5Prompt } from '../../../src/text/flux-prompts.js';
import { createTokenizer, loadTokenizer } from '../../../src/text/load-tokenizer.js';
import { readJsonTokenizer } from '../../../src/text/read-json-tokenizer.js';
import type { Tokenizer } from '../../../src/text/tokenizer.js';
import { wordPatterns } from '../../../src/text/word-patterns.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { type GoldenCase, goldenCase } from '../../golden.js';

interface GoldenPrompt {
  prompt: string;
  ids: number[];
  text?: string;
}

/** From the GGUF file and from tokenizer.json: both must say the same. */
async function tokenizersOf(golden: GoldenCase, gguf: string): Promise<[string, Tokenizer][]> {
  const json = golden.path('tokenizer.json');
  return [
    ['GGUF', loadTokenizer(await readWeightFile(golden.path(gguf)))],
    ['tokenizer.json', createTokenizer(readJsonTokenizer(golden.json('tokenizer.json'), json), json)],
  ];
}

const t5 = goldenCase('t5-encoder');
const t5Tokenizers = t5.present ? await tokenizersOf(t5, 't5xxl.gguf') : [];

describe.skipIf(!t5.present)(`T5 against the reference ids ${t5.reason}`, () => {
  const prompts = t5.present ? t5.json<GoldenPrompt[]>('prompts.json') : [];
  describe.each(t5Tokenizers)('from %s', (_, tokenizer) => {
    it.each(prompts)('$prompt', ({ prompt, ids }) => expect([...tokenizer.encode(prompt), 1]).toEqual(ids));

    it('ends and pads the row', () => {
      const { ids, mask } = encodeT5Prompt(tokenizer, 'a photo of a cat', 10);
      expect([...ids]).toEqual([15, 694, 58, 15, 3, 244, 1, 0, 0, 0]);
      expect([...mask]).toEqual([1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
    });

    it('cuts a long prompt and still ends it', () => {
      const { ids } = encodeT5Prompt(tokenizer, 'cat '.repeat(100), 8);
      expect([...ids]).toEqual([3, 244, 3, 244, 3, 244, 3, 1]);
    });
  });
});

const qwen = goldenCase('flux2-text-qwen3');
const qwenTokenizers = qwen.present ? await tokenizersOf(qwen, 'qwen3.gguf') : [];

describe.skipIf(!qwen.present)(`Qwen against the reference ids ${qwen.reason}`, () => {
  const prompts = qwen.present ? qwen.json<Required<GoldenPrompt>[]>('prompts.json') : [];
  describe.each(qwenTokenizers)('from %s', (_, tokenizer) => {
    it.each(prompts)('$text', ({ text, ids }) => expect(tokenizer.encode(text)).toEqual(ids));

    it('fills the rows of the template as the reference', () => {
      const inputs = qwen.tensors('inputs.safetensors');
      const rows = prompts.filter(({ text }) => text.startsWith('<|im_start|>')).slice(0, 4);
      for (const [i, { prompt }] of rows.entries()) {
        const { ids, mask } = encodeQwenPrompt(tokenizer, prompt, 48);
        expect([...ids]).toEqual([...inputs.get('ids')!.data.slice(48 * i, 48 * (i + 1))]);
        expect([...mask]).toEqual([...inputs.get('mask')!.data.slice(48 * i, 48 * (i + 1))]);
      }
    });
  });
});
