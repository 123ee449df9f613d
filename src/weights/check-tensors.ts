// What every tensor table must satisfy, whatever the format: shapes don't overflow, data lies inside the file, and no two
// tensors share bytes. The native code checks the same again against the mapped file.
import { ImageForgeError } from '../shared/errors.js';
import { sizeInBytes, tensorTypes } from './tensor-types.js';
import type { TensorInfo } from './types.js';

export const maxTensors = 1 << 18;
export const maxNameBytes = 1 << 16;
export const maxDimensions = 64;

export function invalid(path: string, what: string, hint?: string): ImageForgeError {
  return new ImageForgeError('WEIGHTS_INVALID', `${path}: ${what}`, {
    ...(hint !== undefined && { hint }),
    details: { file: path },
  });
}

/** Counts the elements; undefined where the count isn't exact. */
export function countElements(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return undefined;
    count *= size;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

/** The size in bytes that type and shape imply. Refuses overflow, and rows that aren't whole blocks. */
export function expectedBytes(path: string, name: string, type: string, shape: readonly number[]): number {
  const elements = countElements(shape);
  if (elements === undefined) throw invalid(path, `tensor ${name} has the impossible shape [${shape}]`);
  const bytes = sizeInBytes(tensorTypes.get(type)!, elements, shape.at(-1) ?? 1);
  if (bytes === undefined) {
    const { block } = tensorTypes.get(type)!;
    throw invalid(
      path,
      `tensor ${name} is ${type}: rows of ${shape.at(-1)} values aren't whole blocks of ${block}`,
    );
  }
  if (!Number.isSafeInteger(bytes)) throw invalid(path, `tensor ${name} has the impossible shape [${shape}]`);
  return bytes;
}

/** Refuses tensors that lie beyond the file's end and tensors that share bytes. */
export function checkPlaces(path: string, size: number, tensors: Iterable<TensorInfo>): void {
  const byOffset = [...tensors].filter((tensor) => tensor.bytes > 0).sort((a, b) => a.offset - b.offset);
  let previous: TensorInfo | undefined;
  for (const tensor of byOffset) {
    if (previous && tensor.offset < previous.offset + previous.bytes)
      throw invalid(path, `tensors ${previous.name} and ${tensor.name} overlap at byte ${tensor.offset}`);
    const end = tensor.offset + tensor.bytes;
    if (end > size) {
      throw invalid(
        path,
        `tensor ${tensor.name} ends at byte ${end}, but the file has ${size} bytes: it is incomplete or damaged`,
        'Download the file again and compare its size and sha256 with the source.',
      );
    }
    previous = tensor;
  }
}
