// Writes full-size models with random weights as GGUF for the benchmark. The values don't matter for speed, but they are
// scaled so that activations stay finite. Quantised types apply where `imageforge convert` applies them: to the matrices,
// and as Q8_0 to a UNet's kernels, whose channels are then stored together. The rest stays F16.
import { access, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { listKlein4b, listSchnell } from './flux-layout.mjs';
import { randomWeightStream } from './random-values.mjs';
import { listAutoencoder, listTensors, listText } from './sd-layout.mjs';
import { listQwen3, listT5Xxl, makeByteTokenizer, makeUnigramTokenizer } from './text-layout.mjs';

const blocks = { f32: [1, 4], f16: [1, 2], q8_0: [32, 34], q4_0: [32, 18] };

const clipL = { width: 768, layers: 12, projection: 0 };

/** The parts of each model. Parts that FLUX publishes in F16 stay F16. */
const models = {
  sd15: { parts: { model: { list: () => listTensors('sd15') } } },
  sdxl: { parts: { model: { list: () => listTensors('sdxl') } } },
  schnell: {
    parts: {
      model: { list: listSchnell },
      vae: { list: () => listAutoencoder('flux'), type: 'f16' },
      clip_l: { list: () => listText(clipL), type: 'f16' },
      t5xxl: { list: listT5Xxl, tokenizer: async () => makeUnigramTokenizer() },
    },
  },
  // Two double and four single blocks show what a block costs, without the gigabytes.
  'schnell-cut': {
    parts: {
      model: { list: () => listSchnell({ doubleBlocks: 2, singleBlocks: 4 }) },
      vae: { of: 'schnell' },
      clip_l: { of: 'schnell' },
    },
  },
  'klein-4b': {
    parts: {
      model: { list: listKlein4b },
      vae: { list: () => listAutoencoder('flux2'), type: 'f16' },
      llm: { list: listQwen3, tokenizer: makeQwenTokenizer },
    },
  },
};

/** Returns the one file of a full checkpoint, and writes it first if it is missing. */
export async function makeOnce(name, type) {
  return (await makeParts(name, type)).model;
}

/**
 * Returns the files of a model by part, and writes missing ones first. Streams them, so that memory holds only a chunk of
 * a tensor.
 * @param {keyof models} name
 * @param {'f16' | 'q8_0' | 'q4_0'} type of the matrices
 */
export async function makeParts(name, type) {
  const folder = path.resolve(import.meta.dirname, '../../.cache/bench');
  const files = {};
  for (const [part, description] of Object.entries(models[name].parts)) {
    const owner = description.of ?? name;
    const { list, tokenizer, type: own = type } = models[owner].parts[part];
    const form = own !== 'f16' && owner.startsWith('sd') ? `${own}-kernels` : own;
    const file = path.join(folder, `${owner}${part === 'model' ? '' : `-${part}`}-${form}.gguf`);
    files[part] = file;
    if (await exists(file)) continue;
    process.stderr.write(`writing ${path.basename(file)} …\n`);
    await mkdir(folder, { recursive: true });
    if (tokenizer) {
      await writeFile(file.replace(/gguf$/, 'tokenizer.json'), JSON.stringify(await tokenizer()));
    }
    await writeRandomWeights(file, `${owner} ${part}, random ${own.toUpperCase()} weights`, list(), own);
  }
  return files;
}

async function writeRandomWeights(file, title, entries, type) {
  const { writeGguf } = await import('../../dist/weights/write-gguf.js');
  const { kernelOrderKey, storedKernelShape, tapsFirstOrder } = await import(
    '../../dist/weights/kernel-order.js'
  );
  const tensors = entries.map(({ name, shape }) => {
    const own = chooseType(name, shape, type);
    const [values, bytes] = blocks[own];
    const stored = values > 1 && shape.length === 4 ? storedKernelShape(shape) : shape;
    return { name, type: own, shape: stored, bytes: (shape.reduce((a, b) => a * b, 1) / values) * bytes };
  });
  const metadata = new Map([
    ['general.architecture', { type: 'string', value: 'random' }],
    ['general.name', { type: 'string', value: title }],
    ...(type === 'f16' ? [] : [[kernelOrderKey, { type: 'string', value: tapsFirstOrder }]]),
  ]);
  await writeGguf(file, metadata, tensors, (tensor) => randomWeightStream(tensor));
}

function chooseType(name, shape, type) {
  if (shape.length === 1) return 'f32';
  if (type === 'f16' || shape[1] % 32 !== 0 || /embedding|attention_bias/.test(name)) return 'f16';
  if (shape.length === 2) return type;
  return name.startsWith('model.diffusion_model.') ? 'q8_0' : 'f16';
}

async function makeQwenTokenizer() {
  const { wordPatterns } = await import('../../dist/text/word-patterns.js');
  const { byteSymbols } = await import('../../dist/text/byte-symbols.js');
  return makeByteTokenizer(wordPatterns.qwen2.source, byteSymbols);
}

function exists(file) {
  return access(file).then(
    () => true,
    () => false,
  );
}
