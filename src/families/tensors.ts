// Tensors as families handle them: views of bytes in files, which can be renamed, reshaped and cut into rows without
// touching the bytes.
import { ImageForgeError } from '../shared/errors.js';
import { countElements } from '../weights/check-tensors.js';
import { fitBlocks } from '../weights/kernel-order.js';
import { blockOf, handlingOf, tensorTypes } from '../weights/tensor-types.js';
import type { TensorView } from '../weights/tensor-view.js';
import type { WeightFile } from '../weights/types.js';

export { toWeights } from '../weights/tensor-view.js';
export type { TensorView };

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
  if (blockOf(view.type) === 1 || view.parts || view.tapsFirst || view.skip) return { ...view, shape };
  const reshaped: TensorView = { ...view, shape };
  delete reshaped.skip;
  return Object.assign(reshaped, fitBlocks(view.type, shape));
}

/** Rows [from, from + count) along the first dimension. */
export function sliceRows(view: TensorView, from: number, count: number): TensorView {
  const [rows = 1, ...rest] = view.shape;
  if (from < 0 || from + count > rows) throw new RangeError(`rows ${from}+${count} of ${rows}`);
  const { block, bytes } = tensorTypes.get(view.type)!;
  const columns = countElements(rest)!;
  const first = (view.skip ?? 0) + from * columns;
  const skip = first % block;
  const blocks = Math.ceil((skip + count * columns) / block);
  return {
    ...view,
    shape: [count, ...rest],
    offset: view.offset + Math.floor(first / block) * bytes,
    bytes: blocks * bytes,
    ...(view.skip !== undefined && { skip }),
    ...(view.scales && { scales: { ...view.scales, firstRow: (view.scales.firstRow ?? 0) + from } }),
  };
}

/** One tensor whose rows lie in several places, perhaps in several types. */
export function compose(name: string, parts: TensorView[]): TensorView {
  const first = parts[0]!;
  const [, ...rest] = first.shape;
  for (const part of parts) {
    if (String(part.shape.slice(1)) !== String(rest) || part.tapsFirst !== first.tapsFirst) {
      throw new ImageForgeError(
        'UNSUPPORTED',
        `${part.path}: the parts of ${name} don't fit together: ${first.type} [${first.shape}] and ${part.type} [${part.shape}]`,
        { details: { file: part.path, tensor: name } },
      );
    }
  }
  const rows = parts.reduce((sum, part) => sum + (part.shape[0] ?? 1), 0);
  return {
    path: first.path,
    offset: first.offset,
    type: first.type,
    shape: [rows, ...rest],
    ...(first.tapsFirst && { tapsFirst: first.tapsFirst }),
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

/** Bytes of the tensor once it is loaded: what can't be used as it lies in the file is widened to F16, and F64 to F32. */
export function bytesInMemory(view: TensorView): number {
  const parts = view.parts ?? [view];
  const types = new Set(parts.map(typeInMemory));
  if (types.size === 1 && !types.has('f16') && !types.has('f32')) return view.bytes;
  const width = types.has('f32') ? 4 : 2;
  return width * parts.reduce((sum, { shape }) => sum + countElements(shape)!, 0);
}

function typeInMemory({ type, skip, scale, scales, rotation }: TensorView): string {
  if (type === 'f64') return 'f32';
  if (handlingOf(type) === 'widened') return 'f16';
  const isPlain = skip === undefined && scale === undefined && !scales && rotation === undefined;
  return isPlain || blockOf(type) === 1 ? type : 'f16';
}

export function totalInMemory(tensors: Tensors): number {
  let sum = 0;
  for (const view of tensors.values()) sum += bytesInMemory(view);
  return sum;
}
