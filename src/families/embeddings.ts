// Textual inversion (Gal et al. 2022, "An Image is Worth One Word"): files of vectors that take the place of a prompt's
// tokens. A file has one set of vectors for each text encoder of the model.
import type { Tensor } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { rowCapacity } from '../text/chunks.js';
import { LearnedWords } from '../text/learned-words.js';
import { readFloats } from '../weights/read-floats.js';
import { handlingOf } from '../weights/tensor-types.js';
import type { ClipConfig } from './networks/clip.js';
import { textEncoders as encoders, ofKind } from './networks/index.js';
import { openSources } from './sources.js';
import type { Tensors, TensorView } from './tensors.js';
import type { ModelPlan, TextEncoderPlan } from './types.js';

export interface LearnedVectors {
  words: LearnedWords;
  /** For each text encoder the vectors of all words, [count, width]; empty if there are no words. */
  rows: Tensor[];
}

export const noVectors: LearnedVectors = { words: new LearnedWords([]), rows: [] };

export interface Embedding {
  path: string;
  /** How many vectors it has; each takes the place of one token. */
  count: number;
  /** The name inside a diffusers file: "<cat-toy>". */
  token?: string;
  /** In the order of plan.textEncoders, [count, width] or [width]. */
  views: { name: string; view: TensorView }[];
}

/** The first id beyond the vocabulary. */
export function vocabularyOf({ config }: TextEncoderPlan): number {
  return (config as ClipConfig).vocab;
}

/** Whether prompts of this model may use embeddings; T5 and language models have none. */
export function takesEmbeddings({ textEncoders }: Pick<ModelPlan, 'textEncoders'>): boolean {
  return textEncoders.every(({ kind }) => ofKind(encoders, kind).takesVectors);
}

/**
 * Reads a file's header against a model.
 * @throws ImageForgeError of readWeightFile; UNSUPPORTED for pickled files and for models without CLIP encoders;
 *   WEIGHTS_INVALID if it isn't an embedding, or is one for another family.
 */
export async function readEmbedding(path: string, plan: ModelPlan): Promise<Embedding> {
  if (!takesEmbeddings(plan)) {
    throw new ImageForgeError(
      'UNSUPPORTED',
      `${path}: models of the family ${plan.family} take no embeddings`,
      {
        hint: 'Textual inversion works with Stable Diffusion 1.x, 2.x and XL.',
        details: { file: path },
      },
    );
  }
  if (isPickled(path)) throw refusePickled(path);
  const [source] = await openSources({ model: path });
  const vectors = findVectors(source!.tensors);
  if (!vectors) throw refuseOther(path, source!.tensors);
  const { found, token } = vectors;
  const { textEncoders, family } = plan;
  if (found.length !== textEncoders.length) {
    const sets = (count: number) => (count === 1 ? 'one text encoder' : `${count} text encoders`);
    const names = found.map(({ name, view }) => `${name} [${view.shape}]`).join(' and ');
    throw refuseFit(path, plan, found[0]!.name, {
      message: `it has vectors for ${sets(found.length)} (${names}), but ${family} models have ${sets(textEncoders.length)}`,
      found: found.map(({ view }) => view.shape.at(-1)),
      expected: textEncoders.map(widthOf),
    });
  }
  for (const { name, view } of found)
    if (handlingOf(view.type) === 'refused')
      throw new ImageForgeError(
        'UNSUPPORTED',
        `${path}: ${name} has the type ${view.type}; F64, F32, F16, BF16 or FP8 was expected`,
        { details: { file: path, tensor: name } },
      );
  const counts = found.map(({ view }) => (view.shape.length === 1 ? 1 : view.shape[0]!));
  for (const [i, { name, view }] of found.entries()) {
    const [width, expected] = [view.shape.at(-1), widthOf(textEncoders[i]!)];
    if (width !== expected)
      throw refuseFit(path, plan, name, {
        message: `${name} has vectors of width ${width}, but this ${family} model's text encoder takes ${expected}`,
        found: width,
        expected,
      });
  }
  const [count = 0, other = count] = counts;
  if (count !== other || count < 1 || count > rowCapacity) {
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${path}: ${counts.join(' and ')} vectors; 1 to ${rowCapacity} fit into a row of the text encoder, as many for each encoder`,
      { details: { file: path, found: counts } },
    );
  }
  return { path, count, views: found, ...(token !== undefined && { token }) };
}

/** Reads the vectors of these words, in their order. */
export async function readVectors(
  wanted: readonly { word: string; path: string }[],
  plan: ModelPlan,
): Promise<LearnedVectors> {
  if (wanted.length === 0) return noVectors;
  const words: { word: string; count: number }[] = [];
  const parts: Float32Array[][] = plan.textEncoders.map(() => []);
  for (const { word, path } of wanted) {
    const { count, views } = await readEmbedding(path, plan);
    words.push({ word, count });
    for (const [i, { view, name }] of views.entries()) {
      const values = Float32Array.from(await readFloats(view));
      if (!values.every(Number.isFinite))
        throw new ImageForgeError('WEIGHTS_INVALID', `${path}: ${name} has values that are no numbers`, {
          details: { file: path, tensor: name },
        });
      parts[i]!.push(values);
    }
  }
  const rows = parts.map((part, i) => {
    const width = widthOf(plan.textEncoders[i]!);
    const data = Float32Array.from(part.flatMap((values) => [...values]));
    return { data, shape: [data.length / width, width] };
  });
  return { words: new LearnedWords(words), rows };
}

export function isPickled(path: string): boolean {
  return /\.(pt|pth|bin|ckpt)$/i.test(path);
}

/** The names that trainers give SDXL's two sets. The WebUI's name comes next, then the one tensor of a diffusers file. */
const pairs = [
  ['clip_l', 'clip_g'],
  ['text_encoders_0', 'text_encoders_1'],
];

/** The sets of vectors in an embedding's file; undefined if it isn't one. */
export function findVectors(tensors: Tensors): { found: Embedding['views']; token?: string } | undefined {
  const pick = (names: readonly string[]) =>
    names.flatMap((name) => {
      const view = tensors.get(name);
      return view ? [{ name, view }] : [];
    });
  for (const names of [...pairs, ['emb_params']]) {
    const found = pick(names);
    if (found.length > 0 && found.every(({ view }) => isRows(view))) return { found };
  }
  const [only, ...others] = [...tensors];
  if (only && others.length === 0 && isRows(only[1])) {
    const [token, view] = only;
    return { found: [{ name: token, view }], token };
  }
  return undefined;
}

function refuseOther(path: string, tensors: Tensors): ImageForgeError {
  return new ImageForgeError(
    'WEIGHTS_INVALID',
    `${path} is no embedding: it has ${tensors.size} tensors, none of them emb_params, clip_l or clip_g`,
    {
      hint: `\`imageforge models inspect ${path}\` shows what it is.`,
      details: { file: path },
    },
  );
}

function isRows({ shape }: TensorView): boolean {
  return shape.length === 1 || shape.length === 2;
}

function widthOf({ config }: TextEncoderPlan): number {
  return (config as ClipConfig).width;
}

function refuseFit(
  path: string,
  { family }: ModelPlan,
  tensor: string,
  { message, ...details }: { message: string; found: unknown; expected: unknown },
): ImageForgeError {
  return new ImageForgeError('WEIGHTS_INVALID', `${path}: ${message}: it was made for another family`, {
    hint: `Use an embedding that was trained on a model of the family ${family}.`,
    details: { file: path, tensor, ...details },
  });
}

/** Pickled files can run code when they are opened. */
function refusePickled(path: string): ImageForgeError {
  const to = path.replace(/\.\w+$/, '.safetensors');
  return new ImageForgeError(
    'UNSUPPORTED',
    `${path} is a pickled embedding, which can run code when it is opened; ImageForge reads safetensors`,
    {
      hint:
        'Convert it in a Python environment that you trust: import torch; from safetensors.torch import save_file; ' +
        `d = torch.load("${path}", weights_only=True, map_location="cpu"); ` +
        `save_file({"emb_params": d["string_to_param"]["*"].detach().contiguous()}, "${to}")`,
      details: { file: path },
    },
  );
}
