// Whether a Stable Diffusion UNet predicts the noise or the velocity. Shapes don't tell; files sometimes do.
import type { Prediction } from '../../sampling/types.js';
import { ImageForgeError } from '../../shared/errors.js';
import { readFloats } from '../../weights/read-floats.js';
import type { FoundModel } from '../family.js';
import type { WeightSource } from '../sources.js';

const words: Record<string, Prediction> = {
  eps: 'eps',
  epsilon: 'eps',
  v: 'v',
  v_prediction: 'v',
  v_pred: 'v',
};

/** In this order: the caller, the file's metadata or marker tensor, a diffusers scheduler, SD 2.x's own sign. */
export async function findPrediction(model: FoundModel, family: 'sd1' | 'sd2' | 'sdxl'): Promise<Prediction> {
  const { denoiser, options } = model;
  if (options.prediction === 'flow')
    throw new ImageForgeError('INVALID_ARGUMENT', 'a Stable Diffusion model predicts eps or v, not flow');
  return (
    options.prediction ??
    readStated(denoiser.source) ??
    (family === 'sd2' ? await readSd2Sign(model) : undefined) ??
    'eps'
  );
}

function readStated({ metadata, tensors, config }: WeightSource): Prediction | undefined {
  for (const key of ['imageforge.prediction', 'modelspec.prediction_type', 'prediction_type']) {
    const word = metadata.get(key);
    if (typeof word === 'string' && Object.hasOwn(words, word)) return words[word];
  }
  if (tensors.has('v_pred')) return 'v';
  const scheduler = config?.scheduler as { prediction_type?: unknown } | undefined;
  const word = scheduler?.prediction_type;
  return typeof word === 'string' && Object.hasOwn(words, word) ? words[word] : undefined;
}

/**
 * The norm biases of the last transformer are spread wider in the published SD 2.x models that predict v (768) than in
 * those that predict the noise (base, inpainting, turbo); 0.09 lies between.
 */
async function readSd2Sign({ denoiser }: FoundModel): Promise<Prediction | undefined> {
  if (denoiser.tensors.get('input_blocks.0.0.weight')?.shape[1] !== 4) return 'eps';
  const last = [...denoiser.tensors.keys()]
    .filter((name) => /^output_blocks\.\d+\.1\.transformer_blocks\.0\.norm1\.bias$/.test(name))
    .sort((a, b) => Number(b.split('.')[1]) - Number(a.split('.')[1]))[0];
  const view = last === undefined ? undefined : denoiser.tensors.get(last);
  if (!view) return undefined;
  const values = await readFloats(view);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return Math.sqrt(variance) > 0.09 ? 'v' : 'eps';
}
