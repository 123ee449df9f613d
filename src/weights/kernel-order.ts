// How quantised convolution kernels lie in a GGUF file. Blocks run along the fastest dimension, and a kernel
// [out, in, k, k] has only k values there. imageforge therefore stores it as [out, k · k, in], the channels of each tap
// together, and says so under one key; readers that don't know the key find three dimensions where they need four, and
// refuse the file. Other tools store such tensors in rows of 256 that run across the real rows: those are flat.
import { ImageForgeError } from '../shared/errors.js';
import { blockOf, handlingOf } from './tensor-types.js';
import type { MetadataValue, TensorInfo } from './types.js';

export const kernelOrderKey = 'imageforge.kernel_order';
export const tapsFirstOrder = 'out,taps,in';

/** Whether a tensor of this shape, quantised, is a kernel stored with its taps first. */
export function isKernel(shape: readonly number[]): boolean {
  return shape.length === 4 && shape[2] === shape[3];
}

/** [out, in, k, k] as it is stored: [out, k · k, in]. */
export function storedKernelShape([
  out = 1,
  channels = 1,
  height = 1,
  width = 1,
]: readonly number[]): number[] {
  return [out, height * width, channels];
}

/** Values of whole rows [in, k, k], reordered to [k · k, in]. */
export function putTapsFirst(values: Float32Array, channels: number, taps: number): Float32Array {
  const ordered = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += channels * taps)
    for (let tap = 0; tap < taps; tap++)
      for (let channel = 0; channel < channels; channel++)
        ordered[row + tap * channels + channel] = values[row + channel * taps + tap]!;
  return ordered;
}

/** The reverse: values of whole rows [k · k, in], reordered to [in, k, k]. */
export function putTapsLast(values: Float32Array, channels: number, taps: number): Float32Array {
  return putTapsFirst(values, taps, channels);
}

/**
 * How a quantised tensor that was stored in another shape is to be read in `shape`: as it is where rows are whole blocks, a
 * 1 x 1 kernel by its channels, and all others as blocks that run on from row to row.
 */
export function fitBlocks(type: string, shape: readonly number[]): { tapsFirst?: true; skip?: number } {
  const block = blockOf(type);
  const [, channels = 1, height, width] = shape;
  if ((shape.at(-1) ?? 1) % block === 0) return {};
  const isPoint = shape.length === 4 && height === 1 && width === 1;
  if (isPoint && channels % block === 0 && handlingOf(type) === 'in place') return { tapsFirst: true };
  return { skip: 0 };
}

/** Gives a stored kernel its real shape. */
export function restoreKernel(tensor: TensorInfo): void {
  const [out, taps, channels] = tensor.shape;
  if (tensor.shape.length !== 3 || blockOf(tensor.type) === 1) return;
  const side = Math.sqrt(taps!);
  if (!Number.isInteger(side)) return;
  tensor.shape = [out!, channels!, side, side];
  tensor.tapsFirst = true;
}

/** Whether the file's quantised kernels have their taps first; an order that isn't known is UNSUPPORTED. */
export function hasTapsFirst(path: string, metadata: ReadonlyMap<string, MetadataValue>): boolean {
  const order = metadata.get(kernelOrderKey);
  if (order === undefined) return false;
  if (order === tapsFirstOrder) return true;
  throw new ImageForgeError(
    'UNSUPPORTED',
    `${path}: ${kernelOrderKey} is ${String(order)}; ${tapsFirstOrder} was expected`,
    { hint: 'Update imageforge, or convert the file anew.', details: { file: path } },
  );
}
