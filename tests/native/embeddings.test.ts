// Textual inversion on real networks: against transformers, and against the words whose vectors a file holds.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { PromptRequest } from '../../src/families/runtime.js';
import { sliceRows, viewTensors } from '../../src/families/tensors.js';
import { encodeClip } from '../../src/text/clip-tokenizer.js';
import { readFloats } from '../../src/weights/read-floats.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { makeFolder } from '../folder.js';
import { assertClose, goldenCase, ownCase, readTensors, toleranceOf } from '../golden.js';
import { answerOf, readClipEncoder } from '../golden-networks.js';
import { safetensors } from '../unit/weights/make-files.js';
import { operations, withEngine } from './networks.js';
import { useModel } from './use-model.js';

// Made from the project's own cases by tests/fixtures/embeddings/make.py.
const fixtures = path.resolve(import.meta.dirname, '../fixtures/embeddings');
const expected = readTensors(path.join(fixtures, 'expected.safetensors'));
const sd1 = ownCase('clip-text-sd1');
const sdxl = ownCase('clip-text-sdxl');

interface Case {
  golden: typeof sd1;
  /** Of the expected tensors. */
  name: string;
  /** The encoder's key in the case. */
  part: string;
  /** A file of embeddings and the tensor in it that this encoder takes. */
  file: string;
  tensor: string;
}

const cases: Case[] = [
  { golden: sd1, name: 'sd1', part: '', file: 'emb-params', tensor: 'emb_params' },
  { golden: sdxl, name: 'clip_l', part: 'clip_l', file: 'sdxl', tensor: 'clip_l' },
  { golden: sdxl, name: 'clip_g', part: 'clip_g', file: 'sdxl', tensor: 'clip_g' },
];

describe.each(operations)('learned vectors on $name', (chosen) => {
  it.each(cases)('give $name the states of transformers', ({ golden, name, part, file, tensor }) =>
    withEngine(chosen, async (engine) => {
      const { config, weights } = await readClipEncoder(golden, part);
      const encoder = await engine.loadTextEncoder('clip', config, weights);
      const embeddings = readTensors(path.join(fixtures, `${file}.safetensors`)).get(tensor)!;
      const ids = Int32Array.from(expected.get(`${name}.ids`)!.data);
      const close = (found: Float32Array, what: string) =>
        assertClose(
          found,
          expected.get(`${name}.${what}`)!.data,
          toleranceOf(golden, answerOf(part, what), chosen.precision),
        );
      const layers = [config.layers - 1, config.layers];
      const plain = await encoder.encode(ids, { layers, norm: false, project: false, embeddings });
      close(plain.hidden[0]!.data, 'penultimate');
      close(plain.pooled!.data, 'pooled');
      const normed = await encoder.encode(ids, { layers, norm: true, embeddings });
      if (part === '') close(normed.hidden[1]!.data, 'last_hidden');
      if (config.projection > 0) close(normed.pooled!.data, 'pooled_projected');
    }),
  );
});

it('refuses ids without a vector and vectors of another width', () =>
  withEngine(operations[0]!, async (engine) => {
    const { config, weights } = await readClipEncoder(sd1, '');
    const { vocab, width, endToken } = config;
    const encoder = await engine.loadTextEncoder('clip', config, weights);
    const rows = (count: number, columns: number) => ({
      data: new Float32Array(count * columns),
      shape: [count, columns],
    });
    const ids = Int32Array.of(0, vocab + 2, endToken);
    await expect(encoder.encode(ids, { embeddings: rows(2, width) })).rejects.toThrow(
      `token ${vocab + 2} lies outside the vocabulary of ${vocab} and 2 embeddings`,
    );
    await expect(encoder.encode(ids, { embeddings: rows(3, width / 2) })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`expected [${width}, n]`),
    });
  }));

describe('in prompts', () => {
  const file = path.join(makeFolder('embeddings'), 'fox.safetensors');
  const model = useModel();

  beforeAll(async () => {
    writeFileSync(file, await takeVectors('red fox'));
  });

  /** An embedding of exactly the vectors that the model's own table has for a text. */
  async function takeVectors(text: string): Promise<Buffer> {
    const tensors = viewTensors(await readWeightFile(goldenCase('e2e-sd1').weights()));
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

  it('mean what they are made of, with weights, in both prompts and beyond one row', async () => {
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
