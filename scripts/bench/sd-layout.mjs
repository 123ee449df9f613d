// Lists the tensors of Stable Diffusion 1.5 and XL in single-file layouts: names and shapes (PyTorch order), derived from
// the published configurations. The benchmark fills them with random values.

const autoencoderChannels = [128, 256, 512, 512];
const timeWidth = 1280;

/** @typedef {{ name: string, shape: number[] }} Entry */

const layouts = {
  sd15: {
    text: [{ root: 'cond_stage_model.transformer', width: 768, layers: 12, projection: 0 }],
    unet: { channels: [320, 640, 1280, 1280], depth: [1, 1, 1, 0], middle: 1, context: 768, vector: 0 },
  },
  sdxl: {
    text: [
      { root: 'cond_stage_model.transformer', width: 768, layers: 12, projection: 0 },
      { root: 'cond_stage_model.1.transformer', width: 1280, layers: 32, projection: 1280 },
    ],
    unet: { channels: [320, 640, 1280], depth: [0, 2, 10], middle: 10, context: 2048, vector: 2816 },
  },
};

/**
 * @param {'sd15' | 'sdxl'} model
 * @returns {Entry[]} sd15: about 1130 tensors, 1.07 billion values; sdxl: about 2640 and 3.47 billion
 */
export function listTensors(model) {
  const { text, unet } = layouts[model];
  return [...text.flatMap(listText), ...listUnet(unet), ...listAutoencoder()];
}

function linear(name, input, output, bias = true) {
  const weight = { name: `${name}.weight`, shape: [output, input] };
  return bias ? [weight, { name: `${name}.bias`, shape: [output] }] : [weight];
}

function conv(name, input, output, size) {
  return [
    { name: `${name}.weight`, shape: [output, input, size, size] },
    { name: `${name}.bias`, shape: [output] },
  ];
}

function norm(name, channels) {
  return [
    { name: `${name}.weight`, shape: [channels] },
    { name: `${name}.bias`, shape: [channels] },
  ];
}

/** A CLIP text encoder. @returns {Entry[]} */
export function listText({ root, width, layers, projection }) {
  const model = root ? `${root}.text_model` : 'text_model';
  const entries = [
    { name: `${model}.embeddings.token_embedding.weight`, shape: [49408, width] },
    { name: `${model}.embeddings.position_embedding.weight`, shape: [77, width] },
  ];
  for (let i = 0; i < layers; i++) {
    const layer = `${model}.encoder.layers.${i}`;
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      entries.push(...linear(`${layer}.self_attn.${part}`, width, width));
    }
    entries.push(...norm(`${layer}.layer_norm1`, width), ...norm(`${layer}.layer_norm2`, width));
    entries.push(
      ...linear(`${layer}.mlp.fc1`, width, 4 * width),
      ...linear(`${layer}.mlp.fc2`, 4 * width, width),
    );
  }
  entries.push(...norm(`${model}.final_layer_norm`, width));
  return projection ? [...entries, ...linear(`${root}.text_projection`, width, projection, false)] : entries;
}

function unetResBlock(name, input, output) {
  return [
    ...norm(`${name}.in_layers.0`, input),
    ...conv(`${name}.in_layers.2`, input, output, 3),
    ...linear(`${name}.emb_layers.1`, timeWidth, output),
    ...norm(`${name}.out_layers.0`, output),
    ...conv(`${name}.out_layers.3`, output, output, 3),
    ...(input === output ? [] : conv(`${name}.skip_connection`, input, output, 1)),
  ];
}

/** XL's transformers project in and out with matrices, those of 1.5 with convolutions. */
function spatialTransformer(name, channels, depth, { context, vector }) {
  const project = (part) =>
    vector ? linear(`${name}.${part}`, channels, channels) : conv(`${name}.${part}`, channels, channels, 1);
  const entries = [...norm(`${name}.norm`, channels), ...project('proj_in')];
  for (let i = 0; i < depth; i++)
    entries.push(...transformerBlock(`${name}.transformer_blocks.${i}`, channels, context));
  return [...entries, ...project('proj_out')];
}

function transformerBlock(block, channels, context) {
  const attention = (part, keys) => [
    ...linear(`${block}.${part}.to_q`, channels, channels, false),
    ...linear(`${block}.${part}.to_k`, keys, channels, false),
    ...linear(`${block}.${part}.to_v`, keys, channels, false),
    ...linear(`${block}.${part}.to_out.0`, channels, channels),
  ];
  return [
    ...attention('attn1', channels),
    ...attention('attn2', context),
    ...linear(`${block}.ff.net.0.proj`, channels, 8 * channels),
    ...linear(`${block}.ff.net.2`, 4 * channels, channels),
    ...['norm1', 'norm2', 'norm3'].flatMap((part) => norm(`${block}.${part}`, channels)),
  ];
}

function listUnet(unet) {
  const root = 'model.diffusion_model';
  const last = unet.channels.length - 1;
  const widest = unet.channels[last];
  const entries = [
    ...linear(`${root}.time_embed.0`, 320, timeWidth),
    ...linear(`${root}.time_embed.2`, timeWidth, timeWidth),
    ...conv(`${root}.input_blocks.0.0`, 4, 320, 3),
  ];
  if (unet.vector) {
    entries.push(...linear(`${root}.label_emb.0.0`, unet.vector, timeWidth));
    entries.push(...linear(`${root}.label_emb.0.2`, timeWidth, timeWidth));
  }
  const attend = (name, level) =>
    unet.depth[level] ? spatialTransformer(name, unet.channels[level], unet.depth[level], unet) : [];
  const skips = [320];
  let channels = 320;
  let index = 1;
  unet.channels.forEach((output, level) => {
    for (let i = 0; i < 2; i++, index++) {
      entries.push(...unetResBlock(`${root}.input_blocks.${index}.0`, channels, output));
      entries.push(...attend(`${root}.input_blocks.${index}.1`, level));
      channels = output;
      skips.push(channels);
    }
    if (level < last) {
      entries.push(...conv(`${root}.input_blocks.${index}.0.op`, channels, channels, 3));
      skips.push(channels);
      index++;
    }
  });
  entries.push(...unetResBlock(`${root}.middle_block.0`, widest, widest));
  entries.push(...spatialTransformer(`${root}.middle_block.1`, widest, unet.middle, unet));
  entries.push(...unetResBlock(`${root}.middle_block.2`, widest, widest));
  index = 0;
  for (let level = last; level >= 0; level--) {
    const output = unet.channels[level];
    for (let i = 0; i < 3; i++, index++) {
      const block = `${root}.output_blocks.${index}`;
      entries.push(...unetResBlock(`${block}.0`, channels + skips.pop(), output));
      channels = output;
      entries.push(...attend(`${block}.1`, level));
      if (i === 2 && level > 0)
        entries.push(...conv(`${block}.${unet.depth[level] ? 2 : 1}.conv`, output, output, 3));
    }
  }
  return [...entries, ...norm(`${root}.out.0`, 320), ...conv(`${root}.out.2`, 320, 4, 3)];
}

function autoencoderResBlock(name, input, output) {
  return [
    ...norm(`${name}.norm1`, input),
    ...conv(`${name}.conv1`, input, output, 3),
    ...norm(`${name}.norm2`, output),
    ...conv(`${name}.conv2`, output, output, 3),
    ...(input === output ? [] : conv(`${name}.nin_shortcut`, input, output, 1)),
  ];
}

function autoencoderMiddle(name) {
  return [
    ...autoencoderResBlock(`${name}.block_1`, 512, 512),
    ...norm(`${name}.attn_1.norm`, 512),
    ...['q', 'k', 'v', 'proj_out'].flatMap((part) => conv(`${name}.attn_1.${part}`, 512, 512, 1)),
    ...autoencoderResBlock(`${name}.block_2`, 512, 512),
  ];
}

/** 'sd': SD 1.x; 'flux': FLUX.1, without the convolutions around the latent; 'flux2': with the latent's statistics. */
export function listAutoencoder(kind = 'sd') {
  const root = kind === 'sd' ? 'first_stage_model.' : '';
  const latent = { sd: 4, flux: 16, flux2: 32 }[kind];
  const encoder = `${root}encoder`;
  const decoder = `${root}decoder`;
  const entries = conv(`${encoder}.conv_in`, 3, 128, 3);
  let channels = 128;
  autoencoderChannels.forEach((output, level) => {
    for (let i = 0; i < 2; i++) {
      entries.push(...autoencoderResBlock(`${encoder}.down.${level}.block.${i}`, channels, output));
      channels = output;
    }
    if (level < 3) entries.push(...conv(`${encoder}.down.${level}.downsample.conv`, output, output, 3));
  });
  entries.push(...autoencoderMiddle(`${encoder}.mid`), ...norm(`${encoder}.norm_out`, 512));
  entries.push(...conv(`${encoder}.conv_out`, 512, 2 * latent, 3));
  entries.push(...conv(`${decoder}.conv_in`, latent, 512, 3));
  entries.push(...autoencoderMiddle(`${decoder}.mid`));
  channels = 512;
  for (let level = 3; level >= 0; level--) {
    const output = autoencoderChannels[level];
    for (let i = 0; i < 3; i++) {
      entries.push(...autoencoderResBlock(`${decoder}.up.${level}.block.${i}`, channels, output));
      channels = output;
    }
    if (level > 0) entries.push(...conv(`${decoder}.up.${level}.upsample.conv`, output, output, 3));
  }
  entries.push(...norm(`${decoder}.norm_out`, 128), ...conv(`${decoder}.conv_out`, 128, 3, 3));
  if (kind === 'flux') return entries;
  const [before, after] = kind === 'sd' ? [root, root] : [`${encoder}.`, `${decoder}.`];
  entries.push(...conv(`${before}quant_conv`, 2 * latent, 2 * latent, 1));
  entries.push(...conv(`${after}post_quant_conv`, latent, latent, 1));
  if (kind === 'sd') return entries;
  const statistics = ['mean', 'var'].map((name) => ({ name: `bn.running_${name}`, shape: [4 * latent] }));
  return [...entries, ...statistics];
}
