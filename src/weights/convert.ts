// Converts tensors of weight files to a GGUF file, some rows at a time: memory stays at the size of a chunk, whatever the
// model. Values are read as a network reads them when it is loaded; quantised rows are ggml's own, bit for bit.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { loadAddon } from '../native/binding.js';
import { ImageForgeError } from '../shared/errors.js';
import { countElements } from './check-tensors.js';
import { explain, requireOutput } from './convert-output.js';
import { chooseType, type StoredTensor, type TensorRule } from './convert-rules.js';
import { originalShapeKey } from './gguf.js';
import {
  isKernel,
  kernelOrderKey,
  putTapsFirst,
  putTapsLast,
  storedKernelShape,
  tapsFirstOrder,
} from './kernel-order.js';
import { hashFiles, SourceReader, type Watch } from './source-files.js';
import { blockOf, sizeInBytes, tensorTypes } from './tensor-types.js';
import { toWeights } from './tensor-view.js';
import { type GgufTensor, type GgufValue, writeGguf } from './write-gguf.js';

export type { ConvertProgress } from './source-files.js';

/** A tensor and where it lies. */
export interface SourceTensor extends StoredTensor {
  path: string;
  offset: number;
  bytes: number;
}

export interface ConvertOptions extends Watch {
  tensors: readonly SourceTensor[];
  output: string;
  type: string;
  rules?: readonly TensorRule[];
  /** Written behind the hashes of the source. */
  metadata: ReadonlyMap<string, GgufValue>;
  /** Write over an existing file. */
  force?: boolean;
}

export interface ConvertResult {
  path: string;
  bytes: number;
  /** Of each source file, in order. */
  sha256: string[];
  types: { type: string; tensors: number; bytes: number }[];
  /** Tensors that GGUF has no form for. */
  leftOut: string[];
}

/** At most so many values are in memory at once, unless a single row has more. */
const chunkValues = 1 << 20;
const maxDimensions = 4;
/** Rows of tensors whose real rows can't be whole blocks. */
const foldedRow = 256;

/**
 * @throws ImageForgeError INVALID_ARGUMENT, UNSUPPORTED (quantised already), WEIGHTS_INVALID (values that aren't
 *   numbers), OUTPUT_UNWRITABLE, NO_SPACE, ABORTED. The output appears when it is complete, or not at all.
 */
export async function convertWeights(options: ConvertOptions): Promise<ConvertResult> {
  const { output, force = false } = options;
  const planned = planTensors(options);
  const bytes = planned.targets.reduce((sum, target) => sum + target.bytes, 0);
  const files = [...new Set([...planned.sources.values()].map((source) => source.path))];
  await requireOutput(output, files, bytes, force);
  const sha256 = await hashFiles(files, options);
  const metadata = new Map([
    ...options.metadata,
    ['imageforge.source.file', text(files.map((file) => path.basename(file)).join(','))],
    ['imageforge.source.sha256', text(sha256.join(','))],
    ...(planned.tapsFirst ? [[kernelOrderKey, text(tapsFirstOrder)]] : []),
    ...planned.folded,
  ] as [string, GgufValue][]);
  const total = [...planned.sources.values()].reduce((sum, source) => sum + source.bytes, 0);
  const reader = new SourceReader(total, options);
  try {
    await writeGguf(
      output,
      metadata,
      planned.targets,
      (target) => convertTensor(planned.sources.get(target.name)!, target.type, reader),
      { replace: force },
    );
  } catch (error) {
    throw explain(error, output);
  } finally {
    await reader.close();
  }
  const { size } = await stat(output);
  return { path: output, bytes: size, sha256, types: countTypes(planned.targets), leftOut: planned.leftOut };
}

interface Planned {
  targets: GgufTensor[];
  sources: Map<string, SourceTensor>;
  leftOut: string[];
  /** At least one kernel is quantised along its channels. */
  tapsFirst: boolean;
  /** The real shapes of tensors that are stored in another one. */
  folded: [string, GgufValue][];
}

function planTensors({ tensors, type, rules = [] }: ConvertOptions): Planned {
  for (const { pattern } of rules) {
    if (tensors.some(({ name }) => pattern.test(name))) continue;
    throw new ImageForgeError('INVALID_ARGUMENT', `tensor type: no tensor's name has ${pattern.source}`, {
      hint: `The first name of the file is ${tensors[0]?.name}.`,
    });
  }
  const planned: Planned = { targets: [], sources: new Map(), leftOut: [], tapsFirst: false, folded: [] };
  for (const tensor of tensors) {
    const { name, shape } = tensor;
    const chosen = chooseType(tensor, type, rules);
    if (chosen === undefined) {
      planned.leftOut.push(name);
      continue;
    }
    const stored = storedShape(tensor, chosen);
    if (isTapsFirst(tensor, chosen)) planned.tapsFirst = true;
    else if (String(stored) !== String(shape) && shape.length > 0)
      planned.folded.push([originalShapeKey(name), { type: 'i32s', value: shape }]);
    const size = sizeInBytes(tensorTypes.get(chosen)!, countElements(shape)!, stored.at(-1)!)!;
    planned.targets.push({ name, type: chosen, shape: stored, bytes: size });
    planned.sources.set(name, tensor);
  }
  if (planned.targets.length === 0)
    throw new ImageForgeError('INVALID_ARGUMENT', 'there is no tensor to convert');
  return planned;
}

/** As GGUF has it: at most four dimensions, the last one whole blocks. */
function storedShape(tensor: SourceTensor, type: string): number[] {
  const { shape } = tensor;
  if (isTapsFirst(tensor, type)) return storedKernelShape(shape);
  if (isFlat(tensor, type)) {
    const count = countElements(shape)!;
    const row = count % foldedRow === 0 ? foldedRow : blockOf(type);
    return [count / row, row];
  }
  if (shape.length <= maxDimensions) return shape.length > 0 ? shape : [1];
  return [countElements(shape.slice(0, 1 - maxDimensions))!, ...shape.slice(1 - maxDimensions)];
}

/** Whether the quantised blocks of the source stay as they lie: across its rows. */
function isFlat(tensor: SourceTensor, type: string): boolean {
  return tensor.skip !== undefined && isCopied(tensor, type);
}

function isTapsFirst(tensor: SourceTensor, type: string): boolean {
  return isKernel(tensor.shape) && blockOf(type) > 1 && !isFlat(tensor, type);
}

function isCopied(tensor: SourceTensor, type: string): boolean {
  const { scale, scales, rotation } = tensor;
  return tensor.type === type && scale === undefined && !scales && rotation === undefined;
}

async function* convertTensor(
  source: SourceTensor,
  type: string,
  reader: SourceReader,
): AsyncGenerator<Uint8Array> {
  if (isCopied(source, type)) {
    const step = chunkValues * 4;
    for (let at = 0; at < source.bytes; at += step)
      yield await reader.read(source.path, source.offset + at, Math.min(step, source.bytes - at));
    return;
  }
  const { shape } = source;
  const rows = shape.length > 1 ? shape[0]! : 1;
  const columns = countElements(shape)! / rows;
  const step = Math.max(1, Math.floor(chunkValues / columns));
  const weights = toWeights(new Map([[source.name, source]]));
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const values = loadAddon().readValues(weights, row, count);
    yield encode(source, type, inOrder(source, type, values));
    reader.count((source.bytes / rows) * count);
    // the addon reads on this thread: signals and timers have their turn between two chunks
    await new Promise(setImmediate);
  }
}

/** Values of whole rows in the order in which the target has them. */
function inOrder(source: SourceTensor, type: string, values: Float32Array): Float32Array {
  const [, channels = 1, ...sides] = source.shape;
  const taps = countElements(sides)!;
  if (isTapsFirst(source, type)) return source.tapsFirst ? values : putTapsFirst(values, channels, taps);
  return source.tapsFirst ? putTapsLast(values, channels, taps) : values;
}

function encode(source: SourceTensor, type: string, values: Float32Array): Uint8Array {
  if (type !== 'f32') requireRange(source, type, values);
  const row = (isTapsFirst(source, type) ? source.shape[1] : source.shape.at(-1)) ?? 1;
  return loadAddon().quantize(type, values, row);
}

const largestHalf = 65504;

/** A NaN spoils its block and an infinity the whole picture, and nothing would tell of either later on. */
function requireRange({ name, path: file }: SourceTensor, type: string, values: Float32Array): void {
  const limit = type === 'bf16' ? Number.MAX_VALUE : largestHalf;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Math.abs(value) <= limit) continue;
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${file}: tensor ${name} has the value ${value}; ${type} can't hold it`,
      {
        hint: Number.isFinite(value)
          ? `Keep it wide: --tensor-type '${name.replaceAll('.', '\\.')}=bf16'.`
          : 'The file is damaged, or was so when it was made.',
        details: { file, tensor: name },
      },
    );
  }
}

function countTypes(targets: readonly GgufTensor[]): ConvertResult['types'] {
  const types = new Map<string, { type: string; tensors: number; bytes: number }>();
  for (const { type, bytes } of targets) {
    const use = types.get(type) ?? { type, tensors: 0, bytes: 0 };
    use.tensors++;
    use.bytes += bytes;
    types.set(type, use);
  }
  return [...types.values()].sort((a, b) => b.bytes - a.bytes);
}

function text(value: string): GgufValue {
  return { type: 'string', value };
}
