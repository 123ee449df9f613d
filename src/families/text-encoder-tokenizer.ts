// The tokenizer that a text encoder's file brings or has beside it, read once for as long as its plan lives.
import type { CausalLmConfig } from '../native/configs.js';
import { findTokenizer, loadTokenizer, type WantedTokenizer } from '../text/load-tokenizer.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { readWeightFile } from '../weights/read-weight-file.js';
import type { ModelPlan, TextEncoderPlan } from './types.js';

const tokenizers = new WeakMap<TextEncoderPlan, Promise<Tokenizer>>();

/** @throws MODEL_INCOMPLETE where there is none; the next call looks again */
export function tokenizerOf(plan: TextEncoderPlan): Promise<Tokenizer> {
  const known = tokenizers.get(plan);
  if (known) return known;
  const loading = readWeightFile(plan.weights.files[0]!).then((file) => loadTokenizer(file, wantedBy(plan)));
  tokenizers.set(plan, loading);
  loading.catch(() => tokenizers.delete(plan));
  return loading;
}

/** Reads all that a model needs; those of CLIP are in the program. @throws as tokenizerOf */
export async function loadTokenizers({ textEncoders }: ModelPlan): Promise<void> {
  for (const plan of textEncoders) if (plan.kind !== 'clip') await tokenizerOf(plan);
}

/** The same without reading them. @throws MODEL_INCOMPLETE */
export async function requireTokenizers({ textEncoders }: ModelPlan): Promise<void> {
  for (const plan of textEncoders)
    if (plan.kind !== 'clip') findTokenizer(await readWeightFile(plan.weights.files[0]!), wantedBy(plan));
}

function wantedBy({ kind, config }: TextEncoderPlan): WantedTokenizer {
  if (kind === 't5') return { what: 'T5', published: "tokenizer_2/tokenizer.json of FLUX.1's repository" };
  return (config as CausalLmConfig).qkNorm
    ? { what: 'Qwen3', published: "the tokenizer.json of Qwen3's repository" }
    : { what: 'Mistral', published: 'the tekken.json of Mistral Small 3.2' };
}
