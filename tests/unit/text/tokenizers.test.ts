import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeMistralPrompt, encodeQwenPrompt, encodeT5Prompt } from '../../../src/text/flux-prompts.js';
import { createTokenizer, loadTokenizer } from '../../../src/text/load-tokenizer.js';
import { readJsonTokenizer } from '../../../src/text/read-json-tokenizer.js';
import type { Tokenizer } from '../../../src/text/tokenizer.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import type { MetadataValue } from '../../../src/weights/types.js';
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

// Made by tests/fixtures/tekken/make.py: Mistral's form with a small vocabulary.
const fixture = (name: string) => join(import.meta.dirname, '../../fixtures/tekken', name);
const tekkenJson = JSON.parse(readFileSync(fixture('tokenizer.json'), 'utf8'));
const tekkenCases: { text: string; ids: number[] }[] = JSON.parse(
  readFileSync(fixture('prompts.json'), 'utf8'),
);

/** The same tokenizer as llama.cpp's converter writes it. */
function tekkenMetadata(): Map<string, MetadataValue> {
  const { vocab, merges } = tekkenJson.model as { vocab: Record<string, number>; merges: [string, string][] };
  const special = new Set(tekkenJson.added_tokens.map(({ id }: { id: number }) => id));
  const tokens = Object.entries(vocab).sort(([, a], [, b]) => a - b);
  return new Map<string, MetadataValue>([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', 'tekken'],
    ['tokenizer.ggml.tokens', tokens.map(([token]) => token)],
    ['tokenizer.ggml.token_type', tokens.map(([, id]) => (special.has(id) ? 3 : 1))],
    ['tokenizer.ggml.merges', merges.map((pair) => pair.join(' '))],
  ]);
}

describe.each([
  ['tokenizer.json', createTokenizer(readJsonTokenizer(tekkenJson, 'tokenizer.json'), 'tokenizer.json')],
  ['GGUF metadata', loadTokenizer({ path: 'mistral.gguf', metadata: tekkenMetadata() })],
])('tekken from %s', (_, tokenizer) => {
  it.each(tekkenCases)('$text', ({ text, ids }) => expect(tokenizer.encode(text)).toEqual(ids));

  it('pads the template on the left and reads its special tokens', () => {
    const { ids, mask } = encodeMistralPrompt(tokenizer, 'a [IMG]cat', 512);
    const begin = mask.indexOf(1);
    expect(new Set(ids.slice(0, begin))).toEqual(new Set([tokenizer.idOf('<pad>')]));
    expect([...ids.slice(begin, begin + 2)]).toEqual([
      tokenizer.idOf('<s>'),
      tokenizer.idOf('[SYSTEM_PROMPT]'),
    ]);
    const instruction = ids.slice(ids.indexOf(tokenizer.idOf('[INST]')!) + 1, -1);
    expect([...instruction]).toEqual(tokenizer.encode('a cat'));
    expect(ids.at(-1)).toBe(tokenizer.idOf('[/INST]'));
  });
});

describe('a tokenizer that cannot be used', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tokenizer-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const withChanged = (key: string, value: MetadataValue) =>
    tekkenMetadata().set(`tokenizer.ggml.${key}`, value);

  it.each([
    ['of another kind', withChanged('model', 'llama'), 'UNSUPPORTED', 'llama'],
    ['with another split', withChanged('pre', 'llama-bpe'), 'UNSUPPORTED', 'llama-bpe'],
    ['with a merge of unknown tokens', withChanged('merges', ['nothing here']), 'WEIGHTS_INVALID', 'missing'],
    ['with a merge that is none', withChanged('merges', ['nothing']), 'WEIGHTS_INVALID', 'missing'],
    ['with types for other tokens', withChanged('token_type', [1]), 'WEIGHTS_INVALID', 'token_type'],
    ['with numbers for tokens', withChanged('tokens', [1, 2]), 'WEIGHTS_INVALID', 'tokens'],
    ['that is not there', new Map<string, MetadataValue>(), 'MODEL_INCOMPLETE', 'brings no tokenizer'],
  ] as const)('%s is refused as %s', (_, metadata, code, message) => {
    expect(() => loadTokenizer({ path: join(folder, 'model.gguf'), metadata })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  it.each([
    ['no model', {}],
    ['a model of words', { model: { type: 'WordPiece', vocab: {} } }],
    ['huge ids', { model: { type: 'BPE', vocab: { a: 1e15 }, merges: [] } }],
  ])('tokenizer.json with %s', (_, json) => {
    expect(() => readJsonTokenizer(json, 'x.json')).toThrow(
      expect.objectContaining({ code: 'WEIGHTS_INVALID' }),
    );
  });

  it('a damaged normalization is refused', () => {
    const charsmap = Buffer.from([255, 255, 0, 0]).toString('base64');
    const json = {
      normalizer: { type: 'Precompiled', precompiled_charsmap: charsmap },
      model: { type: 'Unigram', unk_id: 0, vocab: [['<unk>', 0]] },
    };
    const data = readJsonTokenizer(json, 'x.json');
    expect(() => createTokenizer(data, 'x.json')).toThrow(
      expect.objectContaining({ code: 'WEIGHTS_INVALID' }),
    );
  });

  it('is looked for beside the weights', () => {
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tekkenJson));
    const tokenizer = loadTokenizer({ path: join(folder, 'llm.safetensors'), metadata: new Map() });
    expect(tokenizer.encode('a photo of a cat')).toEqual(tekkenCases[2]!.ids);
  });
});
