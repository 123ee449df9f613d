// The tokenizer that a text encoder's file brings or has beside it, read once for as long as its plan lives.
import { loadTokenizer } from '../text/load-tokenizer.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { readWeightFile } from '../weights/read-weight-file.js';
import type { TextEncoderPlan } from './types.js';

const tokenizers = new WeakMap<TextEncoderPlan, Promise<Tokenizer>>();

/** @throws MODEL_INCOMPLETE where there is none; the next call looks again */
export function tokenizerOf(plan: TextEncoderPlan): Promise<Tokenizer> {
  const known = tokenizers.get(plan);
  if (known) return known;
  const loading = readWeightFile(plan.weights.files[0]!).then(loadTokenizer);
  tokenizers.set(plan, loading);
  loading.catch(() => tokenizers.delete(plan));
  return loading;
}
