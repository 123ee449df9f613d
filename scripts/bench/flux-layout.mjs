// Lists the tensors of the FLUX transformers in Black Forest Labs' layout: names and shapes (PyTorch order), derived from
// the published configurations. The benchmark fills them with random values.

const width = 3072;
const headDim = 128;
const mlp = 4 * width;

/** @typedef {import('./sd-layout.mjs').Entry} Entry */

/** FLUX.1-schnell: 12 billion values. With fewer blocks, it is the cut network for comparing block times. @returns {Entry[]} */
export function listSchnell({ doubleBlocks = 19, singleBlocks = 38 } = {}) {
  const entries = [
    ...linear('img_in', 64, width),
    ...linear('txt_in', 4096, width),
    ...embedding('time_in', 256),
    ...embedding('vector_in', 768),
  ];
  for (let i = 0; i < doubleBlocks; i++) {
    for (const stream of ['img', 'txt']) {
      const path = `double_blocks.${i}.${stream}`;
      entries.push(...linear(`${path}_mod.lin`, width, 6 * width), ...attention(`${path}_attn`, true));
      entries.push(...linear(`${path}_mlp.0`, width, mlp), ...linear(`${path}_mlp.2`, mlp, width));
    }
  }
  for (let i = 0; i < singleBlocks; i++) {
    const path = `single_blocks.${i}`;
    entries.push(...linear(`${path}.modulation.lin`, width, 3 * width), ...norms(`${path}.norm`));
    entries.push(...linear(`${path}.linear1`, width, 3 * width + mlp));
    entries.push(...linear(`${path}.linear2`, width + mlp, width));
  }
  entries.push(...linear('final_layer.adaLN_modulation.1', width, 2 * width));
  return [...entries, ...linear('final_layer.linear', width, 64)];
}

/** FLUX.2-klein-4B: 3.9 billion values; no biases, gated feed-forward, one modulation for all blocks. @returns {Entry[]} */
export function listKlein4b() {
  const matrix = (name, input, output) => linear(name, input, output, false);
  const gated = 3 * width;
  const entries = [
    ...matrix('img_in', 128, width),
    ...matrix('txt_in', 3 * 2560, width),
    ...embedding('time_in', 256, false),
    ...matrix('double_stream_modulation_img.lin', width, 6 * width),
    ...matrix('double_stream_modulation_txt.lin', width, 6 * width),
    ...matrix('single_stream_modulation.lin', width, 3 * width),
  ];
  for (let i = 0; i < 5; i++) {
    for (const stream of ['img', 'txt']) {
      const path = `double_blocks.${i}.${stream}`;
      entries.push(...attention(`${path}_attn`, false));
      entries.push(...matrix(`${path}_mlp.0`, width, 2 * gated), ...matrix(`${path}_mlp.2`, gated, width));
    }
  }
  for (let i = 0; i < 20; i++) {
    const path = `single_blocks.${i}`;
    entries.push(...matrix(`${path}.linear1`, width, 3 * width + 2 * gated), ...norms(`${path}.norm`));
    entries.push(...matrix(`${path}.linear2`, width + gated, width));
  }
  entries.push(...matrix('final_layer.adaLN_modulation.1', width, 2 * width));
  return [...entries, ...matrix('final_layer.linear', width, 128)];
}

function linear(name, input, output, bias = true) {
  const weight = { name: `${name}.weight`, shape: [output, input] };
  return bias ? [weight, { name: `${name}.bias`, shape: [output] }] : [weight];
}

function embedding(name, input, bias = true) {
  return [
    ...linear(`${name}.in_layer`, input, width, bias),
    ...linear(`${name}.out_layer`, width, width, bias),
  ];
}

function attention(path, bias) {
  return [
    ...linear(`${path}.qkv`, width, 3 * width, bias),
    ...norms(`${path}.norm`),
    ...linear(`${path}.proj`, width, width, bias),
  ];
}

function norms(path) {
  return ['query_norm', 'key_norm'].map((name) => ({ name: `${path}.${name}.scale`, shape: [headDim] }));
}
