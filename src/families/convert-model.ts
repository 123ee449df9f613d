// Converts a model's file to GGUF: identifies it and passes its tensors on. Tensor names stay the same, so that every
// program that reads the source can read the result.
import { statSync } from 'node:fs';
import path from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { readTekkenTensor, tekkenTensor } from '../text/load-tokenizer.js';
import { describeTokenizer } from '../text/write-gguf-tokenizer.js';
import { ByteReader } from '../weights/byte-reader.js';
import { type ConvertProgress, type ConvertResult, convertWeights } from '../weights/convert.js';
import { readConvertType, type TensorRule } from '../weights/convert-rules.js';
import { readRawMetadata } from '../weights/gguf.js';
import type { GgufValue } from '../weights/write-gguf.js';
import { type FoundNetwork, findNetworks } from './find-networks.js';
import { findForeign } from './foreign.js';
import { families, familyOf, findDenoiser } from './index.js';
import { isLora } from './lora/keys.js';
import { listTitles } from './refuse-model.js';
import { isMarker, markerNames, readMarker } from './sd/markers.js';
import { nameModel, openSources, type WeightSource } from './sources.js';

export interface ConvertModelOptions {
  /** GGUF or safetensors file, or the index of its shards. */
  input: string;
  /** A name that ends in .gguf. */
  output: string;
  type: string;
  rules?: readonly TensorRule[];
  force?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: ConvertProgress) => void;
}

/** @throws UNSUPPORTED for a file that is no model or part of one, and the errors of openSources and convertWeights. */
export async function convertModel({ input, ...options }: ConvertModelOptions): Promise<ConvertResult> {
  const type = readConvertType(options.type);
  if (!options.output.endsWith('.gguf')) {
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `output: expected a name that ends in .gguf, found ${options.output}`,
    );
  }
  if (statSync(input, { throwIfNoEntry: false })?.isDirectory()) {
    throw new ImageForgeError('INVALID_ARGUMENT', `${input} is a folder; a file was expected`, {
      hint: 'Convert its networks one by one: name each .safetensors file, or the .index.json of its shards.',
    });
  }
  const [source] = await openSources({ model: input });
  const networks = findNetworks(source!);
  requireModel(source!, networks);
  const metadata = describe(source!, networks, type);
  for (const [key, value] of await describeMarkers(source!)) metadata.set(key, value);
  const tokenizer = await readTekkenTensor(source!.files[0]!);
  if (tokenizer) for (const [key, value] of describeTokenizer(tokenizer)) metadata.set(key, value);
  const isWeight = (name: string) => name !== tekkenTensor && !isMarker(name);
  const tensors = [...source!.tensors].filter(([name]) => isWeight(name));
  return convertWeights({
    ...options,
    type,
    tensors: tensors.map(([name, view]) => ({ name, ...view })),
    metadata,
  });
}

function requireModel({ label, tensors }: WeightSource, networks: readonly FoundNetwork[]): void {
  const refuse = (what: string, hint: string) =>
    new ImageForgeError('UNSUPPORTED', `${label} is ${what}`, { hint, details: { file: label } });
  if (isLora(tensors)) throw refuse('a LoRA', 'LoRAs are used as they are: --lora FILE.');
  if (networks.length > 0) return;
  const foreign = findForeign(tensors);
  throw refuse(
    foreign ?? 'no model that is known',
    `Models of these families and their parts are converted: ${listTitles(families)}.`,
  );
}

/** llama.cpp's file type numbers, which other tools show. */
const fileTypes: Record<string, number> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q8_0: 7,
  q5_0: 8,
  q5_1: 9,
  q2_k: 10,
  q3_k: 12,
  q4_k: 15,
  q5_k: 17,
  q6_k: 18,
  iq4_nl: 25,
  iq4_xs: 30,
  bf16: 32,
};

/** Longer strings are thumbnails or training logs and are dropped. */
const longestText = 4096;
/** Keys of the source that would be wrong in the result. */
const ownKeys =
  /^(general\.(alignment|file_type|quantization_version)|comfy\.gguf\.orig_shape\..*|imageforge\.(source\..*|kernel_order)|split\..*|format|_quantization_metadata)$/;

function describe(
  source: WeightSource,
  networks: readonly FoundNetwork[],
  type: string,
): Map<string, GgufValue> {
  const denoiser = findDenoiser(networks);
  const family = denoiser && familyOf(denoiser);
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: family?.id ?? networks[0]!.kind }],
    ['general.name', { type: 'string', value: nameModel(source) }],
  ]);
  for (const [key, value] of readMetadata(source)) if (!ownKeys.test(key)) metadata.set(key, value);
  metadata.set('general.file_type', { type: 'u32', value: fileTypes[type]! });
  metadata.set('general.quantization_version', { type: 'u32', value: 2 });
  return metadata;
}

/** Markers of sampling become metadata: some are empty tensors, which GGUF does not have. */
async function describeMarkers(source: WeightSource): Promise<Map<string, GgufValue>> {
  const metadata = new Map<string, GgufValue>();
  for (const name of markerNames) {
    const marker = await readMarker({ tensors: source.tensors, metadata: new Map() }, name);
    if (!marker) continue;
    const value = marker.values.length > 0 ? marker.values.join(', ') : 'true';
    metadata.set(`imageforge.${name}`, { type: 'string', value });
  }
  return metadata;
}

function readMetadata({ files }: WeightSource): Map<string, GgufValue> {
  const file = files[0]!;
  const found = new Map<string, GgufValue>();
  if (file.format === 'safetensors') {
    for (const [key, value] of file.metadata)
      if (typeof value === 'string' && value.length <= longestText) found.set(key, { type: 'string', value });
    return found;
  }
  const reader = ByteReader.open(path.resolve(file.path), file.size);
  try {
    reader.skip(4);
    for (const [key, value] of readRawMetadata(reader)) found.set(key, { type: 'raw', value });
    return found;
  } finally {
    reader.close();
  }
}
