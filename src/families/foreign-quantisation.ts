// Files that other tools quantised in forms that nothing here computes with, by what lies beside their matrices.
import { ImageForgeError } from '../shared/errors.js';
import type { TensorView } from './tensors.js';

const forms: [pattern: RegExp, form: string][] = [
  [/\.weight_scale_2$/, 'as NVFP4'],
  [/\.weight_scale_inv$/, 'as FP8 with a scale for every block of a matrix'],
  [/\.quant_state\.|\.weight\.(absmax|quant_map)$/, 'by bitsandbytes (NF4, FP4)'],
  [/\.SCB$/, 'by bitsandbytes (INT8)'],
  [/\.(wscales|wcscales|smooth_factor)$/, 'by Nunchaku (SVDQuant)'],
  [/\.(qweight|qzeros|g_idx)$/, 'by GPTQ or AWQ'],
  [/\.weight_packed$/, 'by compressed-tensors'],
  [/\.weight\._(data|scale)$/, 'by quanto'],
  [/\.pre_quant_scale$/, 'with scales for the inputs of its matrices'],
];

/** @throws ImageForgeError UNSUPPORTED */
export function refuseForm(tensors: ReadonlyMap<string, TensorView>): void {
  for (const [pattern, form] of forms)
    for (const [name, view] of tensors) if (pattern.test(name)) throw otherForm(view, name, form);
}

/** `form` continues "is quantised". */
export function otherForm({ path }: TensorView, tensor: string, form: string): ImageForgeError {
  return new ImageForgeError('UNSUPPORTED', `${path} is quantised ${form} (${tensor}), which isn't read`, {
    hint: 'Use another file of this model: GGUF, F16, BF16, or FP8 that is plain or has one scale for a matrix.',
    details: { file: path, tensor },
  });
}
