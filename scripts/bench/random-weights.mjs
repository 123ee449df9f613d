// Writes full-size Stable Diffusion checkpoints with random weights as GGUF, for the benchmark: the values don't
// matter for speed, but they are scaled so that activations stay finite. Quantised types apply to the matrices, and
// to convolutions only where the type's block divides a kernel row; the rest stays F16 as published files have it.
import { access, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { randomWeightStream } from './random-values.mjs';
import { listTensors } from './sd-layout.mjs';

const blocks = { f32: [1, 4], f16: [1, 2], q8_0: [32, 34], q4_0: [32, 18] };

const titles = { sd15: ['sd1', 'SD 1.5'], sdxl: ['sdxl', 'SDXL'] };

/**
 * The checkpoint of this model and type, made on first use; returns its path.
 * @param {'sd15' | 'sdxl'} model
 * @param {'f16' | 'q8_0' | 'q4_0'} type of the matrices
 */
export async function makeOnce(model, type) {
  const folder = path.resolve(import.meta.dirname, '../../.cache/bench');
  const file = path.join(folder, `${model}-${type}.gguf`);
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  if (!exists) {
    process.stderr.write(`writing ${path.basename(file)} …\n`);
    await mkdir(folder, { recursive: true });
    await writeStableDiffusion(model, file, type);
  }
  return file;
}

/** Streams: memory stays at a chunk of a tensor. */
async function writeStableDiffusion(model, file, type) {
  const { writeGguf } = await import('../../dist/weights/write-gguf.js');
  const tensors = listTensors(model).map(({ name, shape }) => {
    const own = chooseType(name, shape, type);
    const [values, bytes] = blocks[own];
    return { name, type: own, shape, bytes: (shape.reduce((a, b) => a * b, 1) / values) * bytes };
  });
  const [architecture, title] = titles[model];
  const metadata = new Map([
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.name', { type: 'string', value: `${title} layout, random ${type.toUpperCase()} weights` }],
  ]);
  await writeGguf(file, metadata, tensors, (tensor) => randomWeightStream(tensor));
}

function chooseType(name, shape, type) {
  if (shape.length === 1) return 'f32';
  if (type === 'f16' || shape.length !== 2 || name.includes('embedding')) return 'f16';
  return shape[1] % 32 === 0 ? type : 'f16';
}
