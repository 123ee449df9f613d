// Lists the tensors of FLUX's text encoders in Hugging Face's layout. Small tokenizers stand in for the published ones: the
// benchmark's prompts are short, and every row is padded to its full length anyway.

/** @typedef {import('./sd-layout.mjs').Entry} Entry */

/** T5 v1.1 XXL's encoder: 4.8 billion values. @returns {Entry[]} */
export function listT5Xxl() {
  const [width, intermediate] = [4096, 10240];
  const entries = [{ name: 'shared.weight', shape: [32128, width] }];
  for (let i = 0; i < 24; i++) {
    const [attention, forward] = [0, 1].map((part) => `encoder.block.${i}.layer.${part}`);
    entries.push({ name: `${attention}.layer_norm.weight`, shape: [width] });
    for (const part of ['q', 'k', 'v', 'o'])
      entries.push({ name: `${attention}.SelfAttention.${part}.weight`, shape: [width, width] });
    if (i === 0)
      entries.push({
        name: `${attention}.SelfAttention.relative_attention_bias.weight`,
        shape: [32, 64],
      });
    entries.push(
      { name: `${forward}.layer_norm.weight`, shape: [width] },
      { name: `${forward}.DenseReluDense.wi_0.weight`, shape: [intermediate, width] },
      { name: `${forward}.DenseReluDense.wi_1.weight`, shape: [intermediate, width] },
      { name: `${forward}.DenseReluDense.wo.weight`, shape: [width, intermediate] },
    );
  }
  return [...entries, { name: 'encoder.final_layer_norm.weight', shape: [width] }];
}

/** Qwen3-4B: 4 billion values. FLUX.2 uses 27 of its 36 layers. @returns {Entry[]} */
export function listQwen3() {
  const [width, intermediate, headDim, heads, keys] = [2560, 9728, 128, 32, 8];
  const entries = [{ name: 'model.embed_tokens.weight', shape: [151936, width] }];
  for (let i = 0; i < 36; i++) {
    const add = (name, ...shape) => entries.push({ name: `model.layers.${i}.${name}.weight`, shape });
    add('input_layernorm', width);
    add('self_attn.q_proj', heads * headDim, width);
    add('self_attn.k_proj', keys * headDim, width);
    add('self_attn.v_proj', keys * headDim, width);
    add('self_attn.o_proj', width, heads * headDim);
    add('self_attn.q_norm', headDim);
    add('self_attn.k_norm', headDim);
    add('post_attention_layernorm', width);
    add('mlp.gate_proj', intermediate, width);
    add('mlp.up_proj', intermediate, width);
    add('mlp.down_proj', width, intermediate);
  }
  return [...entries, { name: 'model.norm.weight', shape: [width] }];
}

/** One piece per ASCII character. */
export function makeUnigramTokenizer() {
  const characters = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i).replace(' ', '\u2581'));
  return {
    added_tokens: ['<pad>', '</s>', '<unk>'].map((content, id) => ({ id, content })),
    model: {
      type: 'Unigram',
      unk_id: 2,
      vocab: [['<pad>', 0], ['</s>', 0], ['<unk>', 0], ...characters.map((piece) => [piece, -5])],
    },
  };
}

/** One token per byte. @param {string} pattern that splits Qwen's words @param {string[]} symbols for the bytes */
export function makeByteTokenizer(pattern, symbols) {
  const special = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<think>', '</think>'];
  return {
    added_tokens: special.map((content, i) => ({ id: symbols.length + i, content })),
    pre_tokenizer: { type: 'Split', pattern: { Regex: pattern } },
    model: { type: 'BPE', vocab: Object.fromEntries(symbols.map((symbol, id) => [symbol, id])), merges: [] },
  };
}
