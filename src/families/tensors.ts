// Tensors as families handle them: views of bytes in files. They can be renamed, reshaped and split into rows without
// reading the bytes.
import type { TensorEntry, Weights } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { sizeInBytes, tensorTypes } from '../weights/tensor-types.js';
import type { WeightFile } from '../weights/types.js';

export interface TensorView {
  path: string;
  offset: number;
  type: string;
  /** PyTorch order, slowest dimension first. */
  shape: number[];
  /** A quantised kernel [out, in, k, k] whose values lie as [out, k · k, in]. */
  tapsFirst?: true;
  bytes: number;
  /** Factor of all values (scaled FP8). */
  scale?: number;
  /** The rows come from several places, in this order. `path` and `offset` are those of the first. */
  parts?: TensorView[];
}

export type Tensors = ReadonlyMap<string, TensorView>;

export function viewTensors(file: WeightFile): Map<string, TensorView> {
  const views = new Map<string, TensorView>();
  for (const { name, ...place } of file.tensors.values()) views.set(name, { path: file.path, ...place });
  return views;
}

/** The tensors whose names begin with `prefix`, without it. */
export function below(tensors: Tensors, prefix: string): Map<string, TensorView> {
  const found = new Map<string, TensorView>();
  for (const [name, view] of tensors) if (name.startsWith(prefix)) found.set(name.slice(prefix.length), view);
  return found;
}

/** The same bytes in another shape with as many values. */
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

/** Concatenates views along their rows. */
export function compose(name: string, parts: TensorView[]): TensorView {
  const first = parts[0]!;
  const [, ...rest] = first.shape;
  for (const part of parts) {
    if (part.type !== first.type || String(part.shape.slice(1)) !== String(rest)) {
      throw new ImageForgeError(
        'UNSUPPORTED',
        `${part.path}: the parts of ${name} don't fit together: ${first.type} [${first.shape}] and ${part.type} [${part.shape}]`,
        { details: { file: part.path, tensor: name } },
      );
    }
  }
  const rows = parts.reduce((sum, part) => sum + (part.shape[0] ?? 1), 0);
  return {
    ...first,
    shape: [rows, ...rest],
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    parts,
  };
}

/** The tensor of this name. @throws WEIGHTS_INVALID where it is missing from the file `where` */
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

/** One dimension of a tensor. @throws WEIGHTS_INVALID where the tensor has fewer dimensions */
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

/** Counts `name(0)`, `name(1)`, … up to the first that is missing. */
export function countWhile(tensors: Tensors, name: (index: number) => string): number {
  let count = 0;
  while (tensors.has(name(count))) count++;
  return count;
}

/** Bytes of the tensor once it is loaded. The addon converts FP8 to F16, and F64 to F32. */
export function bytesInMemory({ type, bytes }: TensorView): number {
  if (type.startsWith('f8_')) return bytes * 2;
  return type === 'f64' ? bytes / 2 : bytes;
}

export function totalInMemory(tensors: Tensors): number {
  let sum = 0;
  for (const view of tensors.values()) sum += bytesInMemory(view);
  return sum;
}

/** The tensor table for the addon. */
export function toWeights(tensors: Tensors): Weights {
  const files: string[] = [];
  const numbers = new Map<string, number>();
  const entries: TensorEntry[] = [];
  const add = (name: string, { path, offset, type, shape, tapsFirst, scale }: TensorView, row?: number) => {
    let file = numbers.get(path);
    if (file === undefined) {
      file = files.push(path) - 1;
      numbers.set(path, file);
    }
    entries.push({
      name,
      file,
      offset,
      type,
      shape,
      ...(tapsFirst && { tapsFirst }),
      ...(scale !== undefined && { scale }),
      ...(row !== undefined && { row }),
    });
  };
  for (const [name, view] of tensors) {
    if (!view.parts) {
      add(name, view);
      continue;
    }
    let row = 0;
    for (const part of view.parts) {
      add(name, part, row);
      row += part.shape[0] ?? 1;
    }
  }
  return { files, tensors: entries };
}
