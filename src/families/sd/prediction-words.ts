// The words that files use for what a network predicts.
import type { Prediction } from '../../sampling/types.js';
import { ImageForgeError } from '../../shared/errors.js';

const words: Record<string, Prediction> = {
  eps: 'eps',
  epsilon: 'eps',
  noise: 'eps',
  v: 'v',
  v_prediction: 'v',
  v_pred: 'v',
  vpred: 'v',
  velocity: 'v',
  sample: 'x0',
  original_sample: 'x0',
  x0: 'x0',
  edm: 'edm',
};

/**
 * `from` says where the word stands.
 * @throws ImageForgeError UNSUPPORTED for a word that is not known
 */
export function readPredictionWord(word: string, label: string, from: string): Prediction {
  const key = word
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_');
  const prediction = Object.hasOwn(words, key) ? words[key] : undefined;
  if (prediction) return prediction;
  throw new ImageForgeError(
    'UNSUPPORTED',
    `${label}: ${from} says that the network predicts "${word}", which no Stable Diffusion model here does; epsilon, v_prediction and sample are known`,
    { hint: 'If that is not true of this model, correct the file.', details: { file: label } },
  );
}
