// Opens the weights that a user names as a model or a part of one: a file, the index of a sharded file, or a diffusers
// folder.
import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { readJson } from '../weights/read-json.js';
import { readShards } from '../weights/read-shards.js';
import { readWeightFile } from '../weights/read-weight-file.js';
import type { MetadataValue, WeightFile } from '../weights/types.js';
import { readForms } from './quantised/index.js';
import { type TensorView, viewTensors } from './tensors.js';
import type { ModelFiles, Part } from './types.js';

/** Tensors that belong together: one file, one set of shards, or one network's folder of a diffusers model. */
export interface WeightSource {
  part: Part;
  /** The path that the user named, with the subfolder where there is one; for messages. */
  label: string;
  /** Subfolder of a diffusers model: 'unet', 'text_encoder_2', … */
  folder?: string;
  files: WeightFile[];
  tensors: Map<string, TensorView>;
  metadata: Map<string, MetadataValue>;
  /** The folder's config.json. */
  config?: Record<string, unknown>;
}

export async function openSources(files: ModelFiles): Promise<WeightSource[]> {
  const sources: WeightSource[] = [];
  for (const [part, path] of Object.entries(files) as [Part, string][])
    sources.push(...(await openPart(part, path)));
  return sources;
}

async function openPart(part: Part, path: string): Promise<WeightSource[]> {
  if (isFolder(path)) return openFolder(part, path);
  return [await openFile(part, path)];
}

async function openFile(part: Part, path: string): Promise<WeightSource> {
  if (path.endsWith('.index.json')) return toSource(part, path, await readShards(path));
  return toSource(part, path, [await readWeightFile(path)]);
}

async function toSource(part: Part, label: string, files: WeightFile[]): Promise<WeightSource> {
  const tensors = new Map<string, TensorView>();
  for (const file of files) for (const [name, view] of viewTensors(file)) tensors.set(name, view);
  await readForms(tensors, files);
  return { part, label, files, tensors, metadata: files[0]?.metadata ?? new Map() };
}

const networkFolders = ['unet', 'transformer', 'vae', 'text_encoder', 'text_encoder_2'];

/** Opens a diffusers folder, one network's folder of it, or a folder with a single weight file. */
async function openFolder(part: Part, path: string): Promise<WeightSource[]> {
  const sources: WeightSource[] = [];
  for (const folder of networkFolders) {
    const inside = join(path, folder);
    if (!isFolder(inside)) continue;
    const source = await openNetworkFolder(part, inside);
    if (source) sources.push({ ...source, folder });
  }
  if (sources.length === 0) {
    const source = await openNetworkFolder(part, path);
    if (source) sources.push(source);
  }
  if (sources.length === 0) {
    throw new ImageForgeError('WEIGHTS_UNREADABLE', `the folder ${path} holds no model`, {
      hint: 'A diffusers folder has model_index.json and the folders unet or transformer, vae and text_encoder; else name a file.',
      details: { file: path },
    });
  }
  const scheduler = readJson(join(path, 'scheduler', 'scheduler_config.json'));
  for (const source of sources) if (scheduler) source.config = { ...source.config, scheduler };
  return sources;
}

async function openNetworkFolder(part: Part, path: string): Promise<WeightSource | undefined> {
  const names = readdirSync(path).sort();
  const chosen = chooseWeights(names);
  if (chosen === undefined) {
    const pickled = names.find((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
    if (pickled !== undefined) await readWeightFile(join(path, pickled));
    return undefined;
  }
  const source = await openFile(part, join(path, chosen));
  const config = readJson(join(path, 'config.json'));
  return { ...source, label: path, ...(config && { config }) };
}

/** The full-precision file in a folder that may hold several variants (model.fp16.safetensors, …). */
function chooseWeights(names: string[]): string | undefined {
  const ranks = [
    /^(diffusion_pytorch_model|model)\.safetensors$/,
    /^(diffusion_pytorch_model|model)\.safetensors\.index\.json$/,
    /^(diffusion_pytorch_model|model)\.(fp16|bf16)\.safetensors$/,
    /^(diffusion_pytorch_model|model)\.safetensors\.index\.(fp16|bf16)\.json$/,
    /\.safetensors\.index\.json$/,
    /\.(safetensors|gguf)$/,
  ];
  for (const rank of ranks) {
    const found = names.filter((name) => rank.test(name));
    if (found.length > 0) return found[0];
  }
  return undefined;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** The model's name: the file's metadata, else the file's name. */
export function nameModel(source: WeightSource): string {
  for (const key of ['general.name', 'modelspec.title']) {
    const name = source.metadata.get(key);
    if (typeof name === 'string' && name.trim() !== '') return name.trim();
  }
  return nameOnDisk(source);
}

/** Whether the file's metadata or name matches. Nothing else tells models with equal tensors apart. */
export function isCalled(source: WeightSource, pattern: RegExp): boolean {
  const { metadata, config } = source;
  const words = [
    nameOnDisk(source),
    metadata.get('general.name'),
    metadata.get('modelspec.title'),
    config?._name_or_path,
  ];
  return words.some((word) => typeof word === 'string' && pattern.test(word));
}

/** The file's name without extension; for a network of a diffusers model, the name of the model's folder. */
export function nameOnDisk({ folder, label }: WeightSource): string {
  const path = folder === undefined ? label : dirname(label);
  return basename(path).replace(/(\.safetensors\.index\.json|\.safetensors|\.gguf)$/, '');
}
