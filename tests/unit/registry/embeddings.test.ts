// Which embedding files a prompt names, what is only a note, and what is refused.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { inspectFile } from '../../../src/families/inspect.js';
import type { ModelPlan, TextEncoderPlan } from '../../../src/families/types.js';
import { listEmbeddings, resolveEmbeddings } from '../../../src/registry/embeddings.js';
import { readConfig } from '../../../src/shared/config.js';
import { makeFolder } from '../../folder.js';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures/embeddings');
const folder = makeFolder('embeddings');
const at = (...parts: string[]) => path.join(folder, ...parts);
for (const [to, from] of [
  ['own/Easy.safetensors', 'emb-params'],
  ['models/embeddings/easy.safetensors', 'diffusers'],
  ['models/embeddings/style/ink.safetensors', 'emb-params'],
  ['models/embeddings/learned.safetensors', 'diffusers'],
  ['models/embeddings/both.safetensors', 'sdxl'],
  ['here.safetensors', 'emb-params'],
] as const) {
  mkdirSync(path.dirname(at(to)), { recursive: true });
  copyFileSync(path.join(fixtures, `${from}.safetensors`), at(to));
}
writeFileSync(at('models/embeddings/old.pt'), 'PK');
{
  const shape = [1, 64];
  const header = JSON.stringify({ emb_params: { dtype: 'I32', shape, data_offsets: [0, 256] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = Buffer.concat([length, Buffer.from(header), Buffer.alloc(256)]);
  writeFileSync(at('models/embeddings/whole.safetensors'), file);
}

const config = readConfig({
  directory: folder,
  env: { IMAGEFORGE_MODEL_DIR: at('models'), EMBEDDING_DIR: 'own' },
});

const clip = (width: number) => ({ kind: 'clip', config: { width, vocab: 600 } }) as TextEncoderPlan;
const planOf = (family: string, ...textEncoders: TextEncoderPlan[]) =>
  ({ family, textEncoders }) as ModelPlan;
const sd1 = planOf('sd1', clip(64));
const sdxl = planOf('sdxl', clip(64), clip(64));
const wide = planOf('sd2', clip(1024));
const flux = planOf('flux', clip(64), { ...clip(64), kind: 't5' });
const resolve = (prompts: string[], named: string[] = [], plan = sd1) =>
  resolveEmbeddings(prompts, named, plan, config);
const used = async (...args: Parameters<typeof resolve>) =>
  (await resolve(...args)).used.map(({ word, path: file }) => [word, path.relative(folder, file)]);

describe('names in prompts', () => {
  it('are plain words, ComfyUI’s embedding: names or diffusers’ tokens, in either prompt', async () => {
    expect(listEmbeddings(config).map(({ name }) => name)).toEqual([
      'Easy',
      'both',
      'ink',
      'learned',
      'old',
      'whole',
    ]);
    expect(await used(['a fox, EASY', ''])).toEqual([['Easy', 'own/Easy.safetensors']]);
    expect(await used(['a fox', 'easy'])).toEqual([['Easy', 'own/Easy.safetensors']]);
    expect(await used(['uneasy (ink2:1.2)', ''])).toEqual([]);
    const ink = 'models/embeddings/style/ink.safetensors';
    expect(await used(['(embedding:style/ink:1.2)', ''])).toEqual([['embedding:style/ink', ink]]);
    expect(await used(['of embedding:ink.safetensors.', ''])).toContainEqual([
      'embedding:ink.safetensors',
      ink,
    ]);
    expect(await used(['a <cat-toy> on grass', ''])).toEqual([
      ['<cat-toy>', 'models/embeddings/learned.safetensors'],
    ]);
    expect(await used(['a (embedding:1.2) of words', ''])).toEqual([]);
  });

  it('may belong to files that the request names', async () => {
    expect(await used(['a here fox', ''], ['here.safetensors'])).toEqual([['here', 'here.safetensors']]);
    expect((await resolve(['a fox', ''], [at('here.safetensors')])).notes).toEqual([
      'The embedding here was not used: its name is in neither prompt.',
    ]);
  });

  it('stay words, with a note, if the file does not fit and is not required', async () => {
    const wrong = await resolve(['a ink fox', ''], [], wide);
    expect(wrong.used).toEqual([]);
    expect(wrong.notes).toEqual([
      expect.stringMatching(
        /^ink was taken as plain words: .*emb_params has vectors of width 64.*takes 1024/,
      ),
    ]);
    expect((await resolve(['an old fox', ''])).notes).toEqual([
      expect.stringMatching(/old\.pt is a pickled embedding.*torch\.load.*string_to_param/),
    ]);
    expect(await resolve(['ink', ''], [], flux)).toEqual({ used: [], notes: [] });
  });

  it.each([
    [
      'another width',
      'embedding:ink',
      wide,
      'WEIGHTS_INVALID',
      /ink\.safetensors: emb_params has vectors of width 64.*1024/,
    ],
    ['integers', 'embedding:whole', sd1, 'UNSUPPORTED', /whole\.safetensors: emb_params has the type i32/],
    ['one encoder for two', 'embedding:ink', sdxl, 'WEIGHTS_INVALID', /one text encoder.*sdxl models have 2/],
    ['two encoders for one', 'embedding:both', sd1, 'WEIGHTS_INVALID', /clip_l \[2,64\] and clip_g \[2,64\]/],
    ['pickled files', 'embedding:old', sd1, 'UNSUPPORTED', /pickled/],
    ['other families', 'embedding:ink', flux, 'UNSUPPORTED', /flux take no embeddings/],
    ['a missing file', 'embedding:none', sd1, 'NOT_FOUND', /no embedding none/],
    ['a path out of the folder', 'embedding:../../here', sd1, 'NOT_FOUND', /no embedding/],
  ])('that require the file are refused: %s', async (_, prompt, plan, code, message) => {
    await expect(resolve([prompt, ''], [], plan)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('include both sets of vectors for SDXL', async () => {
    expect(await used(['both', ''], [], sdxl)).toEqual([['both', 'models/embeddings/both.safetensors']]);
  });
});

it('models inspect says what the files are', async () => {
  const summary = async (name: string) =>
    (await inspectFile(path.join(fixtures, `${name}.safetensors`))).summary;
  expect(await summary('emb-params')).toBe('embedding (textual inversion): emb_params [3,64]');
  expect(await summary('sdxl')).toBe('embedding (textual inversion): clip_l [2,64], clip_g [2,64]');
});
