// Qwen3 and Mistral as text encoders: how to find them in a file, their names, their configuration.
import { countWhile, sizeOf, type Tensors, type TensorView } from '../tensors.js';
import { textStates } from './estimates.js';
import type { Layout, TextEncoderNetwork } from './network.js';

/**
 * kind 'causal_lm': Qwen3 and Mistral as text encoders, Hugging Face names without "model." ("embed_tokens.weight",
 * "layers.0.self_attn.q_proj.weight"). Only the layers that are used are in the table; neither the last norm nor the
 * language head is.
 */
export interface CausalLmConfig {
  width: number;
  /** Layers in the table. */
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  intermediate: number;
  vocab: number;
  theta: number;
  eps: number;
  /** RMS norm on each query and key head before the rotation ("self_attn.q_norm.weight"). */
  qkNorm: boolean;
  /** Rotation pairs are (2i, 2i + 1), as llama.cpp permutes Llama-type weights, instead of (i, i + headDim / 2). */
  ropeInterleaved: boolean;
}

const own = /^(embed_tokens\.|layers\.|norm\.)/;

const llamaModules: Record<string, string> = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

export const causalLmLayouts: Layout[] = [
  {
    name: 'Hugging Face',
    marker: 'layers.0.mlp.gate_proj.weight',
    // a vision tower's layers have these names too
    unless: 'vision_tower.transformer.layers.0.mlp.gate_proj.weight',
    rename: (tensors) => new Map([...tensors].filter(([name]) => own.test(name))),
  },
  {
    name: 'llama.cpp',
    marker: 'blk.0.ffn_gate.weight',
    unless: 'enc.blk.0.ffn_gate.weight',
    rename: renameLlama,
  },
];

export const causalLmNetwork: TextEncoderNetwork<'causal_lm'> = {
  kind: 'causal_lm',
  title: 'a language model',
  layouts: causalLmLayouts,
  option: '--llm',
  tokenizer: ({ qkNorm }: CausalLmConfig) =>
    qkNorm
      ? { what: 'Qwen3', published: "the tokenizer.json of Qwen3's repository" }
      : { what: 'Mistral', published: 'the tekken.json of Mistral Small 3.2' },
  computeBytes: textStates,
};

function renameLlama(tensors: Tensors): Map<string, TensorView> {
  const renamed = new Map<string, TensorView>();
  for (const [name, view] of tensors) {
    const [, layer, module] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? [];
    const to = module === undefined ? undefined : llamaModules[module];
    if (to !== undefined) renamed.set(`layers.${layer}.${to}.weight`, view);
    else if (name === 'token_embd.weight') renamed.set('embed_tokens.weight', view);
    else if (name === 'output_norm.weight') renamed.set('norm.weight', view);
  }
  return renamed;
}

/** What shapes don't tell. */
export interface CausalLmFacts {
  theta: number;
  eps: number;
  headDim?: number;
  /** llama.cpp permutes the rows of Llama-type models. */
  ropeInterleaved: boolean;
}

/** Reads the configuration of the first `used` layers and leaves out the rest, the last norm and the language head. */
export function readCausalLm(
  found: Tensors,
  where: string,
  used: number,
  facts: CausalLmFacts,
): { config: CausalLmConfig; tensors: Tensors } {
  const tensors = new Map(
    [...found].filter(([name]) => {
      const layer = /^layers\.(\d+)\./.exec(name)?.[1];
      return layer === undefined ? name === 'embed_tokens.weight' : Number(layer) < used;
    }),
  );
  const qkNorm = hasQkNorm(tensors);
  const queries = sizeOf(tensors, 'layers.0.self_attn.q_proj.weight', 0, where);
  const keys = sizeOf(tensors, 'layers.0.self_attn.k_proj.weight', 0, where);
  // published heads have 128 values; narrower networks (in tests) have one key head
  const headDim = qkNorm
    ? sizeOf(tensors, 'layers.0.self_attn.q_norm.weight', 0, where)
    : (facts.headDim ?? (keys % 128 === 0 ? 128 : keys));
  const { theta, eps, ropeInterleaved } = facts;
  const config = {
    width: sizeOf(tensors, 'embed_tokens.weight', 1, where),
    layers: used,
    heads: Math.floor(queries / headDim),
    kvHeads: Math.floor(keys / headDim),
    headDim,
    intermediate: sizeOf(tensors, 'layers.0.mlp.gate_proj.weight', 0, where),
    vocab: sizeOf(tensors, 'embed_tokens.weight', 0, where),
    theta,
    eps,
    qkNorm,
    ropeInterleaved,
  };
  return { config, tensors };
}

/** Qwen3 has them, Mistral hasn't. */
export function hasQkNorm(tensors: Tensors): boolean {
  return tensors.has('layers.0.self_attn.q_norm.weight');
}

export function countLayers(tensors: Tensors): number {
  return countWhile(tensors, (i) => `layers.${i}.self_attn.q_proj.weight`);
}
