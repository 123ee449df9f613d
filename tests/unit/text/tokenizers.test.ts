// Tokenizers of T5, Qwen and Mistral: the reference ids, texts that are hard to split, and unusable files.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeMistralPrompt, encodeQwenPrompt, encodeT5Prompt } from '../../../src/text/flux-prompts.js';
import { createTokenizer, loadTokenizer } from '../../../src/text/load-tokenizer.js';
import { readJsonTokenizer } from '../../../src/text/read-json-tokenizer.js';
import { readTekken } from '../../../src/text/read-tekken.js';
import type { Tokenizer } from '../../../src/text/tokenizer.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import type { MetadataValue } from '../../../src/weights/types.js';
import { element, type GoldenCase, type GoldenTensor, goldenCase, ownCase } from '../../golden.js';
import { safetensors, writeTemporary } from '../weights/make-files.js';

interface GoldenPrompt {
  prompt: string;
  ids: number[];
  text?: string;
}

/** The tokenizer from the GGUF file and from tokenizer.json; both must give the same ids. */
async function tokenizersOf(golden: GoldenCase): Promise<[string, Tokenizer][]> {
  const gguf = await readWeightFile(golden.weights('gguf'));
  const json = golden.path('tokenizer.json');
  return [
    ['GGUF', await loadTokenizer(gguf, { what: '', published: '' })],
    ['tokenizer.json', createTokenizer(readJsonTokenizer(golden.json('tokenizer.json'), json), json)],
  ];
}

const t5 = goldenCase('t5-encoder');

describe('T5 against the reference ids', async () => {
  const prompts = t5.json<GoldenPrompt[]>('prompts.json');
  describe.each(await tokenizersOf(t5))('from %s', (_, tokenizer) => {
    // All rows of ids end with the end token.
    const end = tokenizer.idOf('</s>')!;
    it.each(prompts)('$prompt', ({ prompt, ids }) => expect([...tokenizer.encode(prompt), end]).toEqual(ids));

    it('ends and pads the row', () => {
      for (const { prompt, ids } of prompts) {
        const padding = Array<number>(3).fill(tokenizer.idOf('<pad>')!);
        const row = encodeT5Prompt(tokenizer, prompt, ids.length + padding.length);
        expect([...row.ids]).toEqual([...ids, ...padding]);
        expect([...row.mask]).toEqual([...ids.map(() => 1), 0, 0, 0]);
      }
    });

    it('cuts a long prompt and still ends it', () => {
      for (const { prompt, ids } of prompts.filter(({ ids }) => ids.length > 8)) {
        const row = encodeT5Prompt(tokenizer, prompt, 8);
        expect([...row.ids]).toEqual([...ids.slice(0, 7), end]);
        expect(row.dropped).toBe(ids.length - 8);
      }
    });
  });
});

const qwen = goldenCase('flux2-text-qwen3');

describe('Qwen against the reference ids', async () => {
  const prompts = qwen.json<Required<GoldenPrompt>[]>('prompts.json');
  describe.each(await tokenizersOf(qwen))('from %s', (_, tokenizer) => {
    it.each(prompts)('$text', ({ text, ids }) => expect(tokenizer.encode(text)).toEqual(ids));

    it('fills the rows of the template like the reference', () => {
      const [ids, mask] = ['ids', 'mask'].map((name) => qwen.inputs.get(name)!) as [
        GoldenTensor,
        GoldenTensor,
      ];
      for (let row = 0; row < ids.shape[0]!; row++) {
        const [answer, used] = [[...element(ids, row).data], [...element(mask, row).data]];
        const wanted = String(answer.filter((_, i) => used[i] === 1));
        const { prompt } = prompts.find((one) => String(one.ids.slice(0, ids.shape[1])) === wanted)!;
        const found = encodeQwenPrompt(tokenizer, prompt, ids.shape[1]!);
        expect([...found.ids]).toEqual(answer);
        expect([...found.mask]).toEqual(used);
      }
    });
  });
});

// Made by tests/fixtures/tokenizers/make.py: Mistral's form with a small vocabulary, and ids of texts that are hard to split.
const fixture = (name: string) => join(import.meta.dirname, '../../fixtures/tokenizers', name);
const readFixture = (name: string) => JSON.parse(readFileSync(fixture(name), 'utf8'));
const tekkenJson = readFixture('tekken.json');
const convertedJson = readFixture('tekken.tokenizer.json');
const hardTexts: ({ text: string } & Record<'t5' | 'qwen' | 'tekken', number[]>)[] =
  readFixture('hard-texts.json');
const tekkenIds = (text: string) => hardTexts.find((hard) => hard.text === text)!.tekken;

function expectIds(tokenizer: Tokenizer, kind: 't5' | 'qwen' | 'tekken'): void {
  const found = hardTexts.map(({ text }) => [text, ...tokenizer.encode(text)]);
  expect(found).toEqual(hardTexts.map(({ text, [kind]: ids }) => [text, ...ids]));
}

/** The same tokenizer in the form that llama.cpp's converter writes. */
function tekkenMetadata(): Map<string, MetadataValue> {
  const { vocab, merges } = convertedJson.model as {
    vocab: Record<string, number>;
    merges: [string, string][];
  };
  const special = new Set(convertedJson.added_tokens.map(({ id }: { id: number }) => id));
  const tokens = Object.entries(vocab).sort(([, a], [, b]) => a - b);
  return new Map<string, MetadataValue>([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', 'tekken'],
    ['tokenizer.ggml.tokens', tokens.map(([token]) => token)],
    ['tokenizer.ggml.token_type', tokens.map(([, id]) => (special.has(id) ? 3 : 1))],
    ['tokenizer.ggml.merges', merges.map((pair) => pair.join(' '))],
  ]);
}

const mistral = { what: 'Mistral', published: 'its tekken.json' };
const noTensors = { tensors: new Map() };
const text = Buffer.from(JSON.stringify(tekkenJson));
const asTensor = writeTemporary(
  safetensors({ tekken_model: { dtype: 'U8', shape: [text.length], data_offsets: [0, text.length] } }, text),
  'safetensors',
);

describe.each([
  ['tokenizer.json', createTokenizer(readJsonTokenizer(convertedJson, 'tokenizer.json'), 'tokenizer.json')],
  ['tekken.json', createTokenizer(readTekken(tekkenJson, 'tekken.json'), 'tekken.json')],
  ["ComfyUI's tensor", await loadTokenizer(await readWeightFile(asTensor), mistral)],
  [
    'GGUF metadata',
    await loadTokenizer({ path: 'mistral.gguf', metadata: tekkenMetadata(), ...noTensors }, mistral),
  ],
])('tekken from %s', (_, tokenizer) => {
  it('splits hard texts like the reference', () => expectIds(tokenizer, 'tekken'));

  it('pads the template on the left and reads its special tokens', () => {
    const { ids, mask } = encodeMistralPrompt(tokenizer, 'a [IMG]photo of a cat', 512);
    const begin = mask.indexOf(1);
    expect(new Set(ids.slice(0, begin))).toEqual(new Set([tokenizer.idOf('<pad>')]));
    expect([...ids.slice(begin, begin + 2)]).toEqual([
      tokenizer.idOf('<s>'),
      tokenizer.idOf('[SYSTEM_PROMPT]'),
    ]);
    const instruction = ids.slice(ids.indexOf(tokenizer.idOf('[INST]')!) + 1, -1);
    expect([...instruction]).toEqual(tekkenIds('a photo of a cat'));
    expect(ids.at(-1)).toBe(tokenizer.idOf('[/INST]'));
  });
});

describe('texts that are hard to split', () => {
  // Their ids come from the tokenizers of the project's own cases.
  it.each([
    ['t5', 't5-encoder'],
    ['qwen', 'flux2-text-qwen3'],
  ] as const)('%s from every form', async (kind, name) => {
    for (const [, tokenizer] of await tokenizersOf(ownCase(name))) expectIds(tokenizer, kind);
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
    ['with an invalid merge', withChanged('merges', ['nothing']), 'WEIGHTS_INVALID', 'missing'],
    ['with types for other tokens', withChanged('token_type', [1]), 'WEIGHTS_INVALID', 'token_type'],
    ['with numbers for tokens', withChanged('tokens', [1, 2]), 'WEIGHTS_INVALID', 'tokens'],
    ['that is missing', new Map<string, MetadataValue>(), 'MODEL_INCOMPLETE', 'brings no tokenizer'],
  ] as const)('%s is refused as %s', async (_, metadata, code, message) => {
    await expect(
      loadTokenizer({ path: join(folder, 'model.gguf'), metadata, ...noTensors }, mistral),
    ).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it.each([
    ['no model', {}],
    ['a word-level model', { model: { type: 'WordPiece', vocab: {} } }],
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

  it.each([
    ['no vocabulary', { config: tekkenJson.config }],
    ['no special tokens', { ...tekkenJson, special_tokens: [] }],
    ['a special token out of range', { ...tekkenJson, special_tokens: [{ rank: 99, token_str: '<s>' }] }],
    ['missing bytes', { ...tekkenJson, vocab: tekkenJson.vocab.slice(1) }],
    ['an empty token', { ...tekkenJson, vocab: [...tekkenJson.vocab.slice(0, 300), { token_bytes: '' }] }],
    ['invalid bytes', { ...tekkenJson, vocab: [{ token_bytes: '*' }] }],
  ])('tekken.json with %s', (_, json) => {
    expect(() => createTokenizer(readTekken(json, 'tekken.json'), 'tekken.json')).toThrow(
      expect.objectContaining({ code: 'WEIGHTS_INVALID' }),
    );
  });

  it('tekken.json that splits words in another way', () => {
    const json = { ...tekkenJson, config: { ...tekkenJson.config, pattern: '.' } };
    expect(() => readTekken(json, 'x')).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
  });

  it('a tekken_model that is not text', async () => {
    const header = { tekken_model: { dtype: 'F16', shape: [2], data_offsets: [0, 4] } };
    const file = await readWeightFile(writeTemporary(safetensors(header, Buffer.alloc(4)), 'safetensors'));
    await expect(loadTokenizer(file, mistral)).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
      message: expect.stringContaining('tekken_model is f16'),
    });
  });

  it.each([
    ['tokenizer.json', convertedJson],
    ['llm.tokenizer.json', convertedJson],
    ['tekken.json', tekkenJson],
  ])('is found beside the weights: %s', async (name, json) => {
    const beside = join(folder, name.replaceAll('.', '-'));
    mkdirSync(beside);
    writeFileSync(join(beside, name), JSON.stringify(json));
    const weights = { path: join(beside, 'llm.safetensors'), metadata: new Map(), ...noTensors };
    const tokenizer = await loadTokenizer(weights, mistral);
    expect(tokenizer.encode('a photo of a cat')).toEqual(tekkenIds('a photo of a cat'));
  });

  it('names where to get one and where to put it', async () => {
    const weights = { path: join(folder, 'llm.safetensors'), metadata: new Map(), ...noTensors };
    await expect(loadTokenizer(weights, mistral)).rejects.toMatchObject({
      message: expect.stringContaining('no tokenizer for Mistral'),
      hint: expect.stringMatching(/^Put its tekken\.json into .*llm\.tokenizer\.json/),
    });
  });
});
