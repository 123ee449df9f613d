// Textual inversion on real networks: against transformers, and against the words whose vectors a file holds.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClipConfig } from '../../src/families/networks/clip.js';
import { clipLayouts } from '../../src/families/networks/clip.js';
import type { PromptRequest } from '../../src/families/runtime.js';
import { sliceRows, viewTensors } from '../../src/families/tensors.js';
import type { Engine, TextEncoder, Weights } from '../../src/native/addon.js';
import { encodeClip } from '../../src/text/clip-tokenizer.js';
import { readFloats } from '../../src/weights/read-floats.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { assertClose, goldenCase, readTensors, toleranceOf } from '../golden.js';
import { safetensors } from '../unit/weights/make-files.js';
import { operations, weightsFrom, withEngine } from './networks.js';
import { useModel } from './use-model.js';

const fixtures = path.resolve(import.meta.dirname, '../fixtures/embeddings');
const expected = readTensors(path.join(fixtures, 'expected.safetensors'));
const sd1 = goldenCase('clip-text-sd1');
const sdxl = goldenCase('clip-text-sdxl');
const base = goldenCase('e2e-sd1');

interface Case {
  golden: typeof sd1;
  /** Of the expected tensors. */
  name: string;
  part: '' | 'clip_l' | 'clip_g';
  prefix: string;
  layout: string;
  file: string;
  tensor: string;
}

const cases: Case[] = [
  {
    ...{ golden: sd1, name: 'sd1', part: '', prefix: 'cond_stage_model.transformer.' },
    ...{ layout: 'Hugging Face', file: 'emb-params', tensor: 'emb_params' },
  },
  {
    ...{ golden: sdxl, name: 'clip_l', part: 'clip_l', prefix: 'conditioner.embedders.0.transformer.' },
    ...{ layout: 'Hugging Face', file: 'sdxl', tensor: 'clip_l' },
  },
  {
    ...{ golden: sdxl, name: 'clip_g', part: 'clip_g', prefix: 'conditioner.embedders.1.model.' },
    ...{ layout: 'OpenCLIP', file: 'sdxl', tensor: 'clip_g' },
  },
];

describe.each(operations)('learned vectors on $name', (chosen) => {
  for (const one of cases) {
    const { golden, name, part, file, tensor } = one;
    it.skipIf(!golden.present)(`give ${name} the states of transformers ${golden.reason}`, () =>
      withEngine(chosen, async (engine) => {
        const encoder = await load(engine, one);
        const embeddings = readTensors(path.join(fixtures, `${file}.safetensors`)).get(tensor)!;
        const ids = Int32Array.from(expected.get(`${name}.ids`)!.data);
        const close = (found: Float32Array, what: string) =>
          assertClose(
            found,
            expected.get(`${name}.${what}`)!.data,
            toleranceOf(golden, part ? `${part}.${what}` : what, chosen.precision),
          );
        const layers = [2, 3];
        const plain = await encoder.encode(ids, { layers, norm: false, project: false, embeddings });
        close(plain.hidden[0]!.data, 'penultimate');
        close(plain.pooled!.data, 'pooled');
        const normed = await encoder.encode(ids, { layers, norm: true, embeddings });
        if (part === '') close(normed.hidden[1]!.data, 'last_hidden');
        if (part === 'clip_g') close(normed.pooled!.data, 'pooled_projected');
      }),
    );
  }
});

it.skipIf(!sd1.present)(`refuses ids without a vector and vectors of another width ${sd1.reason}`, () =>
  withEngine(operations[0]!, async (engine) => {
    const encoder = await load(engine, cases[0]!);
    const rows = (count: number, width: number) => ({
      data: new Float32Array(count * width),
      shape: [count, width],
    });
    const ids = Int32Array.of(598, 602, 599);
    await expect(encoder.encode(ids, { embeddings: rows(2, 64) })).rejects.toThrow(
      /token 602 lies outside the vocabulary of 600 and 2 embeddings/,
    );
    await expect(encoder.encode(ids, { embeddings: rows(3, 32) })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('expected [64, n]'),
    });
  }),
);

describe.skipIf(!base.present)(`in prompts ${base.reason}`, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'imageforge-embeddings-'));
  const file = path.join(folder, 'fox.safetensors');
  const model = useModel(() => base.path('model.safetensors'));

  beforeAll(async () => {
    writeFileSync(file, await takeVectors('red fox'));
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** An embedding of exactly the vectors that the model's own table has for a text. */
  async function takeVectors(text: string): Promise<Buffer> {
    const tensors = viewTensors(await readWeightFile(base.path('model.safetensors')));
    const [, view] = [...tensors].find(([name]) => name.endsWith('token_embedding.weight'))!;
    const width = view.shape[1]!;
    const rows: number[] = [];
    for (const id of encodeClip(text)) rows.push(...(await readFloats(sliceRows(view, id, 1))));
    const shape = [rows.length / width, width];
    const header = { emb_params: { dtype: 'F32', shape, data_offsets: [0, rows.length * 4] } };
    return safetensors(header, Buffer.from(Float32Array.from(rows).buffer));
  }

  const encode = (prompt: string, negativePrompt: string, word?: string) => {
    const request: PromptRequest = {
      prompt,
      negativePrompt,
      guidance: 7,
      clipSkip: 1,
      width: 64,
      height: 64,
    };
    return model().encodePrompts(
      word === undefined ? request : { ...request, embeddings: [{ word, path: file }] },
      undefined,
    );
  };

  it('stand for what they are made of, with weights, in both prompts and beyond one row', async () => {
    const long = Array(72).fill('snow').join(' ');
    for (const [plain, learned] of [
      ['a red fox in the snow', 'a fluffy in the snow'],
      ['a (red fox:1.3) in the snow', 'a (FLUFFY:1.3) in the snow'],
      [`${long} red fox`, `${long} fluffy`],
    ] as const) {
      const words = await encode(plain, 'a red fox', undefined);
      const vectors = await encode(learned, 'a fluffy', 'fluffy');
      expect(vectors.positive.context).toEqual(words.positive.context);
      expect(vectors.negative!.context).toEqual(words.negative!.context);
      expect((await encode(learned, 'a fluffy')).positive.context).not.toEqual(words.positive.context);
    }
  });
});

async function load(engine: Engine, one: Case): Promise<TextEncoder> {
  type Facts = Omit<ClipConfig, 'projection' | 'endToken'> & { eos: number };
  const facts = one.golden.json<{ config: Record<string, Facts> }>('case.json').config[one.part]!;
  const { width, layers, heads, intermediate, vocab, positions, eos, activation } = facts;
  const { rename } = clipLayouts.find(({ name }) => name === one.layout)!;
  const weights = await weightsFrom(one.golden.path('model.safetensors'), one.prefix, rename);
  return engine.loadTextEncoder(
    'clip',
    {
      ...{ width, layers, heads, intermediate, vocab, positions, endToken: eos },
      activation: activation.includes('erf') ? 'gelu' : 'quick_gelu',
      projection: one.part === 'clip_g' ? 64 : 0,
      ...(one.part === 'clip_g' && { projectionTransposed: true }),
    },
    withProjection(weights),
  );
}

/** OpenCLIP's matrix goes by the same name; `projectionTransposed` says which it is. */
function withProjection(weights: Weights): Weights {
  const tensors = weights.tensors.map((entry) =>
    entry.name === 'text_projection' ? { ...entry, name: 'text_projection.weight' } : entry,
  );
  return { ...weights, tensors };
}
