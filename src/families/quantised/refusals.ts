// Files that other tools quantised in forms that aren't read, told by what lies beside their matrices.
import { ImageForgeError } from '../../shared/errors.js';
import type { TensorView } from '../tensors.js';

const forms: [pattern: RegExp, form: string][] = [
  [/\.quant_state\.|\.weight\.(absmax|quant_map)$/, 'by bitsandbytes (NF4, FP4)'],
  [/\.SCB$/, 'by bitsandbytes (INT8)'],
  [/\.(wscales|wcscales|smooth_factor)$/, 'by Nunchaku (SVDQuant)'],
  [/\.(qweight|qzeros|g_idx)$/, 'by GPTQ or AWQ'],
  [/\.weight_packed$/, 'by compressed-tensors, in packed integers'],
  [/\.weight\._(data|scale)$/, 'by quanto'],
  [/\._weight_(qdata|scale|zero_point)$/, 'by torchao'],
  [/\.(svd_up|svd_down)$/, 'by SDNQ'],
  [/\.pre_quant_scale$/, 'with scales for the inputs of its matrices'],
  [/\.weight_zero_point$/, 'in integers with a zero point'],
  [/\.weight_(s_rel|s_channel|codebook)$/, 'as asym_w4a8_int8'],
];

/** @throws ImageForgeError UNSUPPORTED */
export function refuseForms(tensors: ReadonlyMap<string, TensorView>): void {
  for (const [pattern, form] of forms)
    for (const [name, view] of tensors) if (pattern.test(name)) throw otherForm(view, name, form);
}

/** `form` continues "is quantised". */
export function otherForm({ path }: TensorView, tensor: string, form: string): ImageForgeError {
  return new ImageForgeError('UNSUPPORTED', `${path} is quantised ${form} (${tensor}), which isn't read`, {
    hint: 'Use another file of this model: GGUF, F16, BF16, FP8, or what ComfyUI calls nvfp4, mxfp8 or int8_tensorwise.',
    details: { file: path, tensor },
  });
}

export function damaged(path: string, tensor: string, what: string): ImageForgeError {
  return new ImageForgeError('WEIGHTS_INVALID', `${path}: ${what}`, {
    hint: 'The file is incomplete or damaged: download it again, or use another file of this model.',
    details: { file: path, tensor },
  });
}
