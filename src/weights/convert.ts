// Converts tensors of weight files to a GGUF file, some rows at a time: memory stays at the size of a chunk, whatever
// the model. Quantised rows are ggml's own, bit for bit.
import { createHash } from 'node:crypto';
import { type FileHandle, open, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { loadAddon } from '../native/binding.js';
import { ImageForgeError } from '../shared/errors.js';
import { explainWriteError, fileErrorCode } from '../shared/file-errors.js';
import { sweepTemporary } from '../shared/temporary-files.js';
import { unreadable } from './byte-reader.js';
import { countElements, invalid } from './check-tensors.js';
import { chooseType, type StoredTensor, type TensorRule } from './convert-rules.js';
import { decodeFloats, floatTypes } from './decode-floats.js';
import { isKernel, kernelOrderKey, putTapsFirst, storedKernelShape, tapsFirstOrder } from './kernel-order.js';
import { blockOf, sizeInBytes, tensorTypes } from './tensor-types.js';
import { type GgufTensor, type GgufValue, writeGguf } from './write-gguf.js';

/** A tensor and where it lies. */
export interface SourceTensor extends StoredTensor {
  path: string;
  offset: number;
  bytes: number;
  /** Values are to be multiplied by this (scaled FP8). */
  scale?: number;
}

export interface ConvertOptions {
  tensors: readonly SourceTensor[];
  output: string;
  type: string;
  rules?: readonly TensorRule[];
  /** Written behind the hashes of the source. */
  metadata: ReadonlyMap<string, GgufValue>;
  /** Write over an existing file. */
  force?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: ConvertProgress) => void;
}

export interface ConvertProgress {
  phase: 'hash' | 'convert';
  /** Bytes of the source. */
  done: number;
  total: number;
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

/** Values that are in memory at once, unless a single row has more. */
const chunkValues = 1 << 20;
const maxDimensions = 4;

/**
 * @throws ImageForgeError INVALID_ARGUMENT, UNSUPPORTED (quantised already), WEIGHTS_INVALID (values that aren't
 *   numbers), OUTPUT_UNWRITABLE, NO_SPACE, ABORTED. The output appears when it is complete, or not at all.
 */
export async function convertWeights(options: ConvertOptions): Promise<ConvertResult> {
  const { output, force = false } = options;
  const planned = planTensors(options);
  const bytes = planned.targets.reduce((sum, target) => sum + target.bytes, 0);
  await requireOutput(output, planned.sources, bytes, force);
  const files = listFiles(planned.sources);
  const sha256 = await hashFiles(files, options);
  const metadata = new Map([
    ...options.metadata,
    ['imageforge.source.file', text(files.map((file) => path.basename(file)).join(','))],
    ['imageforge.source.sha256', text(sha256.join(','))],
    ...(planned.tapsFirst ? [[kernelOrderKey, text(tapsFirstOrder)]] : []),
  ] as [string, GgufValue][]);
  const total = [...planned.sources.values()].reduce((sum, source) => sum + source.bytes, 0);
  const readers = new Readers(total, options);
  try {
    await writeGguf(
      output,
      metadata,
      planned.targets,
      (target) => convertTensor(planned.sources.get(target.name)!, target.type, readers),
      { replace: force },
    );
  } catch (error) {
    throw explain(error, output);
  } finally {
    await readers.close();
  }
  const { size } = await stat(output);
  return { path: output, bytes: size, sha256, types: countTypes(planned.targets), leftOut: planned.leftOut };
}

interface Planned {
  targets: GgufTensor[];
  sources: Map<string, SourceTensor>;
  leftOut: string[];
  /** Some kernel is quantised. */
  tapsFirst: boolean;
}

function planTensors({ tensors, type, rules = [] }: ConvertOptions): Planned {
  for (const { pattern } of rules) {
    if (tensors.some(({ name }) => pattern.test(name))) continue;
    throw new ImageForgeError('INVALID_ARGUMENT', `tensor type: no tensor's name has ${pattern.source}`, {
      hint: `The first name of the file is ${tensors[0]?.name}.`,
    });
  }
  const planned: Planned = { targets: [], sources: new Map(), leftOut: [], tapsFirst: false };
  for (const tensor of tensors) {
    const { name, shape } = tensor;
    const chosen = chooseType(tensor, type, rules);
    if (chosen === undefined) {
      planned.leftOut.push(name);
      continue;
    }
    if (shape.length > maxDimensions)
      throw invalid(
        tensor.path,
        `tensor ${name} has the shape [${shape}]; GGUF allows ${maxDimensions} dimensions`,
      );
    const kernel = isKernel(shape) && blockOf(chosen) > 1;
    if (kernel) planned.tapsFirst = true;
    const stored = kernel ? storedKernelShape(shape) : shape;
    const size = sizeInBytes(tensorTypes.get(chosen)!, countElements(shape)!, stored.at(-1) ?? 1)!;
    planned.targets.push({ name, type: chosen, shape: stored.length > 0 ? stored : [1], bytes: size });
    planned.sources.set(name, tensor);
  }
  if (planned.targets.length === 0)
    throw new ImageForgeError('INVALID_ARGUMENT', 'there is no tensor to convert');
  return planned;
}

function listFiles(sources: ReadonlyMap<string, SourceTensor>): string[] {
  return [...new Set([...sources.values()].map((source) => source.path))];
}

async function* convertTensor(
  source: SourceTensor,
  type: string,
  readers: Readers,
): AsyncGenerator<Uint8Array> {
  const kernel = isKernel(source.shape) && blockOf(type) > 1;
  const [, channels = 1, ...sides] = source.shape;
  const taps = countElements(sides)!;
  const columns = kernel ? channels * taps : (source.shape.at(-1) ?? 1);
  const rows = (countElements(source.shape) ?? 0) / columns;
  const rowBytes = source.bytes / rows;
  const step = Math.max(1, Math.floor(chunkValues / columns));
  const copied = source.type === type && source.scale === undefined;
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const bytes = await readers.read(source.path, source.offset + row * rowBytes, count * rowBytes);
    if (copied || !floatTypes.has(source.type)) yield bytes;
    else {
      const values = decodeFloats(source.type, bytes, source.scale);
      yield kernel
        ? encode(source, type, putTapsFirst(values, channels, taps), channels)
        : encode(source, type, values, columns);
    }
  }
}

function encode(source: SourceTensor, type: string, values: Float32Array, columns: number): Uint8Array {
  if (type !== 'f32') requireRange(source, type, values);
  return loadAddon().quantize(type, values, columns);
}

const largestHalf = 65504;

/** Not-a-number spoils a block and infinity a whole picture, and neither is heard of again. */
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

/** Reads places of files through one buffer, counts, and stops when it is asked to. */
class Readers {
  readonly #handles = new Map<string, FileHandle>();
  #buffer = new Uint8Array(0);
  #done = 0;

  constructor(
    private readonly total: number,
    private readonly options: Pick<ConvertOptions, 'signal' | 'onProgress'>,
  ) {}

  /** The bytes are valid until the next call. */
  async read(file: string, offset: number, length: number): Promise<Uint8Array> {
    throwIfAborted(this.options.signal);
    let handle = this.#handles.get(file);
    if (!handle) {
      handle = await openSource(file);
      this.#handles.set(file, handle);
    }
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await handle.read(this.#buffer, done, length - done, offset + done);
      if (bytesRead === 0) throw invalid(file, 'the file is shorter than its header says');
      done += bytesRead;
    }
    this.#done += length;
    this.options.onProgress?.({ phase: 'convert', done: this.#done, total: this.total });
    return this.#buffer.subarray(0, length);
  }

  async close(): Promise<void> {
    for (const handle of this.#handles.values()) await handle.close();
  }
}

async function hashFiles(
  files: readonly string[],
  { signal, onProgress }: Pick<ConvertOptions, 'signal' | 'onProgress'>,
): Promise<string[]> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const buffer = new Uint8Array(1 << 20);
  const hashes: string[] = [];
  let done = 0;
  for (const file of files) {
    const handle = await openSource(file);
    try {
      const hash = createHash('sha256');
      for (;;) {
        throwIfAborted(signal);
        const { bytesRead } = await handle.read(buffer, 0, buffer.length);
        if (bytesRead === 0) break;
        hash.update(buffer.subarray(0, bytesRead));
        done += bytesRead;
        onProgress?.({ phase: 'hash', done, total });
      }
      hashes.push(hash.digest('hex'));
    } finally {
      await handle.close();
    }
  }
  return hashes;
}

async function openSource(file: string): Promise<FileHandle> {
  return open(file, 'r').catch((error) => {
    throw unreadable(file, error);
  });
}

async function requireOutput(
  output: string,
  sources: ReadonlyMap<string, SourceTensor>,
  bytes: number,
  force: boolean,
): Promise<void> {
  const folder = path.dirname(path.resolve(output));
  await sweepTemporary(folder);
  try {
    const found = await stat(output).catch(() => undefined);
    if (found && !found.isFile())
      throw new ImageForgeError('OUTPUT_UNWRITABLE', `${output} is not a file; a name for one was expected`);
    for (const file of found ? listFiles(sources) : []) {
      const { dev, ino } = await stat(file);
      if (found && dev === found.dev && ino === found.ino)
        throw new ImageForgeError(
          'INVALID_ARGUMENT',
          `${output} is the file to convert; expected another name`,
        );
    }
    if (found && !force) throw exists(output);
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < bytes) throw full(output, bytes, bavail * bsize);
  } catch (error) {
    throw explain(error, output);
  }
}

const HINTS = {
  full: 'Free some space, or choose another disk.',
  unwritable: 'Choose a folder that exists and that you may write to.',
};

function explain(error: unknown, output: string): Error {
  if (fileErrorCode(error) === 'EEXIST') return exists(output);
  return explainWriteError(error, { file: output }, HINTS);
}

function exists(output: string): ImageForgeError {
  return new ImageForgeError('OUTPUT_UNWRITABLE', `${output} is there already`, {
    hint: 'Choose another name, or replace it with --force.',
    details: { file: output },
  });
}

function full(output: string, needed: number, free: number): ImageForgeError {
  return new ImageForgeError(
    'NO_SPACE',
    `Cannot write to ${output}: ${needed} bytes are needed, ${free} are free.`,
    { hint: HINTS.full, details: { file: output, needed, free } },
  );
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ImageForgeError('ABORTED', 'The conversion was cancelled.');
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
