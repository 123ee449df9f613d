// Loads the tokenizer from a text encoder's file or from beside it, once for each plan.
import { findTokenizer, loadTokenizer, type WantedTokenizer } from '../text/load-tokenizer.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { readWeightFile } from '../weights/read-weight-file.js';
import { ofKind, textEncoders } from './networks/index.js';
import type { ModelPlan, TextEncoderPlan } from './types.js';

const tokenizers = new WeakMap<TextEncoderPlan, Promise<Tokenizer>>();

/** @throws MODEL_INCOMPLETE where there is none; the next call looks again */
export function tokenizerOf(plan: TextEncoderPlan): Promise<Tokenizer> {
  const known = tokenizers.get(plan);
  if (known) return known;
  const wanted = wantedBy(plan);
  if (!wanted) throw new TypeError(`the tokenizer of ${plan.kind} is part of the program`);
  const loading = readWeightFile(plan.weights.files[0]!).then((file) => loadTokenizer(file, wanted));
  tokenizers.set(plan, loading);
  loading.catch(() => tokenizers.delete(plan));
  return loading;
}

/** Loads all tokenizers of a model. @throws as tokenizerOf */
export async function loadTokenizers({ textEncoders }: ModelPlan): Promise<void> {
  for (const plan of textEncoders) if (wantedBy(plan)) await tokenizerOf(plan);
}

/** Checks that they exist, without loading them. @throws MODEL_INCOMPLETE */
export async function requireTokenizers({ textEncoders }: ModelPlan): Promise<void> {
  for (const plan of textEncoders) {
    const wanted = wantedBy(plan);
    if (wanted) findTokenizer(await readWeightFile(plan.weights.files[0]!), wanted);
  }
}

/** undefined where the program has the tokenizer (CLIP). */
function wantedBy({ kind, config }: TextEncoderPlan): WantedTokenizer | undefined {
  return ofKind(textEncoders, kind).tokenizer?.(config);
}
