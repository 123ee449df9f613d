// Tensors as families handle them: views of bytes in files, which can be renamed, reshaped and cut into rows without
// touching the bytes.
import type { Weights } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { sizeInBytes, tensorTypes } from '../weights/tensor-types.js';
import type { WeightFile } from '../weights/types.js';

export interface TensorView {
  path: string;
  offset: number;
  type: string;
  /** PyTorch order, slowest dimension first. */
  shape: number[];
  bytes: number;
}

export type Tensors = ReadonlyMap<string, TensorView>;

export function viewTensors(file: WeightFile): Map<string, TensorView> {
  const views = new Map<string, TensorView>();
  for (const { name, type, shape, offset, bytes } of file.tensors.values())
    views.set(name, { path: file.path, offset, type, shape, bytes });
  return views;
}

/** The tensors whose names begin with `prefix`, without it. */
export function below(tensors: Tensors, prefix: string): Map<string, TensorView> {
  const found = new Map<string, TensorView>();
  for (const [name, view] of tensors) if (name.startsWith(prefix)) found.set(name.slice(prefix.length), view);
  return found;
}

/** The same bytes in another shape; the number of values stays. */
export function reshape(view: TensorView, shape: number[]): TensorView {
  return { ...view, shape };
}

/** Rows [from, from + count) along the first dimension. */
export function sliceRows(view: TensorView, from: number, count: number): TensorView {
  const [rows = 1, ...rest] = view.shape;
  if (from < 0 || from + count > rows) throw new RangeError(`rows ${from}+${count} of ${rows}`);
  const type = tensorTypes.get(view.type)!;
  const rowElements = rest.reduce((product, size) => product * size, 1);
  const rowBytes = sizeInBytes(type, rowElements, rest.at(-1) ?? 1)!;
  return { ...view, shape: [count, ...rest], offset: view.offset + from * rowBytes, bytes: count * rowBytes };
}

/** The tensor or WEIGHTS_INVALID; `where` says in which file it should have been. */
export function need(tensors: Tensors, name: string, where: string): TensorView {
  const view = tensors.get(name);
  if (!view) {
    throw new ImageForgeError('WEIGHTS_INVALID', `${where}: the tensor ${name} is missing`, {
      hint: 'The file is incomplete or of a kind that is not known; `imageforge models inspect FILE` shows what it has.',
      details: { file: where, tensor: name },
    });
  }
  return view;
}

/** One size of a tensor; a tensor with fewer dimensions is WEIGHTS_INVALID. */
export function sizeOf(tensors: Tensors, name: string, dimension: number, where: string): number {
  const { shape } = need(tensors, name, where);
  const size = shape[dimension];
  if (size === undefined || size < 1) {
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${where}: the tensor ${name} has the shape [${shape}]; at least ${dimension + 1} dimensions were expected`,
      { details: { file: where, tensor: name, shape } },
    );
  }
  return size;
}

/** How many of `name(0)`, `name(1)`, … there are. */
export function countWhile(tensors: Tensors, name: (index: number) => string): number {
  let count = 0;
  while (tensors.has(name(count))) count++;
  return count;
}

export function totalBytes(tensors: Tensors): number {
  let sum = 0;
  for (const view of tensors.values()) sum += view.bytes;
  return sum;
}

/** The table that the addon takes. */
export function toWeights(tensors: Tensors): Weights {
  const files = [...new Set([...tensors.values()].map((view) => view.path))];
  const numbers = new Map(files.map((path, index) => [path, index]));
  return {
    files,
    tensors: [...tensors].map(([name, { path, offset, type, shape }]) => ({
      name,
      file: numbers.get(path)!,
      offset,
      type,
      shape,
    })),
  };
}
