// Golden cases: small networks and tables, with the values that reference implementations compute. tests/golden/README.md
// says what a case is. IMAGEFORGE_GOLDEN names another folder; cases that it lacks come from tests/golden.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
// @ts-expect-error plain JavaScript
import { openCase } from '../scripts/fixtures/golden.mjs';

const ownFolder = resolve(import.meta.dirname, 'golden');
export const goldenFolder = resolve(process.env.IMAGEFORGE_GOLDEN || ownFolder);

export interface GoldenTensor {
  data: Float32Array;
  shape: number[];
}

interface CaseFacts {
  config: Record<string, unknown>;
  /** By name, for files of this case. */
  files?: Record<string, { bytes: number; tensors?: number }>;
  expected?: Record<string, { shape: number[] }>;
  tolerance: Record<string, Partial<Record<Precision, Tolerance>>>;
}

export interface GoldenCase {
  name: string;
  /** case.json. */
  facts: CaseFacts;
  /** Its `config`, or one part of it. */
  config<T>(part?: string): T;
  path(file: string): string;
  /** Path of the case's weights. If it has several files, `which` is a key of its `checkpoint` or a file extension. */
  weights(which?: string): string;
  json<T>(file: string): T;
  tensors(file: string): Map<string, GoldenTensor>;
  inputs: Map<string, GoldenTensor>;
  expected: Map<string, GoldenTensor>;
}

export function goldenCase(name: string): GoldenCase {
  const chosen = existsSync(join(goldenFolder, name, 'case.json')) ? goldenFolder : ownFolder;
  return open(chosen, name);
}

/** The project's own case whatever IMAGEFORGE_GOLDEN says, since tests/fixtures were made from it. */
export function ownCase(name: string): GoldenCase {
  return open(ownFolder, name);
}

function open(folder: string, name: string): GoldenCase {
  const { facts, path, weights } = openCase(join(folder, name)) as Pick<
    GoldenCase,
    'facts' | 'path' | 'weights'
  >;
  const tensors = (file: string) => readTensors(path(file));
  return {
    name,
    facts,
    path,
    weights,
    tensors,
    config: <T>(part?: string) => (part === undefined ? facts.config : facts.config[part]) as T,
    json: (file) => JSON.parse(readFileSync(path(file), 'utf8')),
    get inputs() {
      return tensors('inputs.safetensors');
    },
    get expected() {
      return tensors('expected.safetensors');
    },
  };
}

/** The prefix of each group of inputs: 'b1.' and 'b2.' if there are b1.x and b2.x for the input x. */
export function groupsOf(tensors: ReadonlyMap<string, unknown>, input: string): string[] {
  const names = [...tensors.keys()].filter((name) => name === input || name.endsWith(`.${input}`));
  return names.map((name) => name.slice(0, name.length - input.length));
}

/** How far a result may differ from the reference: in F32, or with weights and activations rounded for the product. */
export interface Tolerance {
  max_abs?: number;
  rel_l2: number;
}

export type Precision = 'f32' | 'f16_gemm' | 'bf16_gemm';

/** BF16 keeps three bits fewer than F16. */
const BF16_ROOM = 8;

/** The tolerance that the case states for one of its expected tensors. */
export function toleranceOf(golden: GoldenCase, name: string, precision: Precision): Tolerance {
  const stated = precision === 'bf16_gemm' ? 'f16_gemm' : precision;
  const found = golden.facts.tolerance[name]?.[stated];
  if (!found) throw new Error(`The golden case ${golden.name} states no ${stated} tolerance for ${name}.`);
  if (precision !== 'bf16_gemm') return found;
  return {
    rel_l2: found.rel_l2 * BF16_ROOM,
    ...(found.max_abs !== undefined && { max_abs: found.max_abs * BF16_ROOM }),
  };
}

/** Throws with the figures if either difference exceeds its tolerance. */
export function assertClose(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
): void {
  const difference = maxDifference(found, expected);
  const relative = relativeDifference(found, expected);
  if (difference <= (tolerance.max_abs ?? Infinity) && relative <= tolerance.rel_l2) return;
  throw new Error(
    `found ${found.length} values for ${expected.length}: largest difference ${difference} ` +
      `(${tolerance.max_abs ?? 'any'} allowed), relative ${relative} (${tolerance.rel_l2} allowed)`,
  );
}

/** One element of a batch. */
export function element(tensor: GoldenTensor, index: number): GoldenTensor {
  const shape = tensor.shape.slice(1);
  const size = shape.reduce((product, n) => product * n, 1);
  return { data: tensor.data.slice(index * size, (index + 1) * size), shape };
}

/** Largest absolute difference; infinite for NaN or different lengths. */
export function maxDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Infinity;
  let worst = 0;
  for (let i = 0; i < found.length; i++) {
    const difference = Math.abs(found[i]! - expected[i]!);
    if (Number.isNaN(difference)) return Infinity;
    worst = Math.max(worst, difference);
  }
  return worst;
}

/** |found - expected| / |expected| in the Euclidean norm. */
export function relativeDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < found.length; i++) {
    difference += (found[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  const relative = Math.sqrt(difference / (norm || 1));
  return Number.isNaN(relative) ? Infinity : relative;
}

/** All tensors of a safetensors file, as F32 (integers too). */
export function readTensors(path: string): Map<string, GoldenTensor> {
  const file = readFileSync(path);
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> =
    JSON.parse(file.toString('utf8', 8, 8 + headerBytes));
  const tensors = new Map<string, GoldenTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [from, to] = entry.data_offsets.map((offset) => 8 + headerBytes + offset) as [number, number];
    tensors.set(name, { data: readValues(entry.dtype, file.subarray(from, to)), shape: entry.shape });
  }
  return tensors;
}

function readValues(dtype: string, bytes: Buffer): Float32Array {
  const copy = Uint8Array.from(bytes).buffer;
  if (dtype === 'F32') return new Float32Array(copy);
  if (dtype === 'F64') return Float32Array.from(new Float64Array(copy));
  if (dtype === 'I64') return Float32Array.from(new BigInt64Array(copy), Number);
  if (dtype === 'I32') return Float32Array.from(new Int32Array(copy));
  if (dtype === 'U8' || dtype === 'BOOL') return Float32Array.from(new Uint8Array(copy));
  throw new Error(`Golden tensors of type ${dtype} are not supported.`);
}
