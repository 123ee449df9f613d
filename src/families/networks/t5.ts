// T5 v1.1 encoders: how to find them in a file, their names, their configuration.
import { countWhile, sizeOf, type Tensors, type TensorView } from '../tensors.js';
import { textStates } from './estimates.js';
import type { Layout, TextEncoderNetwork } from './network.js';

/** kind 't5': T5 v1.1 encoder, Hugging Face names ("shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"). */
export interface T5Config {
  width: number;
  layers: number;
  heads: number;
  headDim: number;
  /** Hidden width of the gated feed-forward. */
  intermediate: number;
  vocab: number;
  /** Relative position buckets, shared by all blocks from block 0. */
  buckets: number;
  maxDistance: number;
}

const own = /^(shared\.weight|encoder\.(block\.|final_layer_norm\.))/;

const llamaModules: Record<string, string> = {
  attn_q: 'layer.0.SelfAttention.q',
  attn_k: 'layer.0.SelfAttention.k',
  attn_v: 'layer.0.SelfAttention.v',
  attn_o: 'layer.0.SelfAttention.o',
  attn_rel_b: 'layer.0.SelfAttention.relative_attention_bias',
  attn_norm: 'layer.0.layer_norm',
  ffn_gate: 'layer.1.DenseReluDense.wi_0',
  ffn_up: 'layer.1.DenseReluDense.wi_1',
  ffn_down: 'layer.1.DenseReluDense.wo',
  ffn_norm: 'layer.1.layer_norm',
};

export const t5Layouts: Layout[] = [
  {
    name: 'Hugging Face',
    marker: 'encoder.block.0.layer.0.SelfAttention.q.weight',
    rename: (tensors) => {
      const renamed = new Map([...tensors].filter(([name]) => own.test(name)));
      const embedding = tensors.get('encoder.embed_tokens.weight');
      if (embedding && !renamed.has('shared.weight')) renamed.set('shared.weight', embedding);
      return renamed;
    },
  },
  { name: 'llama.cpp', marker: 'enc.blk.0.attn_q.weight', rename: renameLlama },
];

export const t5Network: TextEncoderNetwork<'t5'> = {
  kind: 't5',
  title: 'a T5 text encoder',
  layouts: t5Layouts,
  option: '--t5xxl',
  tokenizer: () => ({ what: 'T5', published: "tokenizer_2/tokenizer.json of FLUX.1's repository" }),
  computeBytes: textStates,
};

function renameLlama(tensors: Tensors): Map<string, TensorView> {
  const renamed = new Map<string, TensorView>();
  for (const [name, view] of tensors) {
    const [, block, module] = /^enc\.blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? [];
    const to = module === undefined ? undefined : llamaModules[module];
    if (to !== undefined) renamed.set(`encoder.block.${block}.${to}.weight`, view);
    else if (name === 'token_embd.weight') renamed.set('shared.weight', view);
    else if (name === 'enc.output_norm.weight') renamed.set('encoder.final_layer_norm.weight', view);
  }
  return renamed;
}

export function readT5Config(tensors: Tensors, where: string): T5Config {
  const attention = 'encoder.block.0.layer.0.SelfAttention';
  const heads = sizeOf(tensors, `${attention}.relative_attention_bias.weight`, 1, where);
  return {
    width: sizeOf(tensors, 'shared.weight', 1, where),
    layers: countWhile(tensors, (i) => `encoder.block.${i}.layer.0.SelfAttention.q.weight`),
    heads,
    headDim: Math.floor(sizeOf(tensors, `${attention}.q.weight`, 0, where) / heads),
    intermediate: sizeOf(tensors, 'encoder.block.0.layer.1.DenseReluDense.wi_0.weight', 0, where),
    vocab: sizeOf(tensors, 'shared.weight', 0, where),
    buckets: sizeOf(tensors, `${attention}.relative_attention_bias.weight`, 0, where),
    maxDistance: 128,
  };
}
