// Scaled FP8 files keep, beside each 8-bit matrix, one number that brings its values back to their size.
import { ImageForgeError } from '../shared/errors.js';
import { readFloats } from '../weights/read-floats.js';
import type { TensorView } from './tensors.js';

const scaleName = /\.(scale_weight|weight_scale)$/;

/** Puts each scale on its matrix and takes it out of the list. */
export async function applyScales(tensors: Map<string, TensorView>): Promise<void> {
  for (const [name, scale] of tensors) {
    if (!scaleName.test(name)) continue;
    const target = name.replace(scaleName, '.weight');
    const view = tensors.get(target);
    if (!view) continue;
    const values = scale.bytes <= 8 ? await readFloats(scale) : [];
    const value = values[0];
    if (values.length !== 1 || value === undefined || !Number.isFinite(value)) {
      throw new ImageForgeError(
        'UNSUPPORTED',
        `${scale.path}: ${name} has the shape [${scale.shape}]; one finite scale for a whole matrix was expected`,
        {
          hint: 'Use another file of this model: F16, BF16, plain FP8 or GGUF.',
          details: { file: scale.path, tensor: name },
        },
      );
    }
    tensors.set(target, { ...view, scale: value });
    tensors.delete(name);
  }
}
