// The tensors of Stable Diffusion 1.5 in the original single-file layout: names and shapes (PyTorch order), derived
// from the published configuration. The benchmark fills them with random values.

const unetChannels = [320, 640, 1280, 1280];
const autoencoderChannels = [128, 256, 512, 512];
const contextWidth = 768;
const timeWidth = 1280;

/** @typedef {{ name: string, shape: number[] }} Entry */

/** @returns {Entry[]} about 1130 tensors, 1.07 billion values */
export function listTensors() {
  return [...listText(), ...listUnet(), ...listAutoencoder()];
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

function listText() {
  const root = 'cond_stage_model.transformer.text_model';
  const width = 768;
  const entries = [
    { name: `${root}.embeddings.token_embedding.weight`, shape: [49408, width] },
    { name: `${root}.embeddings.position_embedding.weight`, shape: [77, width] },
  ];
  for (let i = 0; i < 12; i++) {
    const layer = `${root}.encoder.layers.${i}`;
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      entries.push(...linear(`${layer}.self_attn.${part}`, width, width));
    }
    entries.push(...norm(`${layer}.layer_norm1`, width), ...norm(`${layer}.layer_norm2`, width));
    entries.push(
      ...linear(`${layer}.mlp.fc1`, width, 4 * width),
      ...linear(`${layer}.mlp.fc2`, 4 * width, width),
    );
  }
  return [...entries, ...norm(`${root}.final_layer_norm`, width)];
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

function spatialTransformer(name, channels) {
  const block = `${name}.transformer_blocks.0`;
  const attention = (part, context) => [
    ...linear(`${block}.${part}.to_q`, channels, channels, false),
    ...linear(`${block}.${part}.to_k`, context, channels, false),
    ...linear(`${block}.${part}.to_v`, context, channels, false),
    ...linear(`${block}.${part}.to_out.0`, channels, channels),
  ];
  return [
    ...norm(`${name}.norm`, channels),
    ...conv(`${name}.proj_in`, channels, channels, 1),
    ...attention('attn1', channels),
    ...attention('attn2', contextWidth),
    ...linear(`${block}.ff.net.0.proj`, channels, 8 * channels),
    ...linear(`${block}.ff.net.2`, 4 * channels, channels),
    ...norm(`${block}.norm1`, channels),
    ...norm(`${block}.norm2`, channels),
    ...norm(`${block}.norm3`, channels),
    ...conv(`${name}.proj_out`, channels, channels, 1),
  ];
}

function listUnet() {
  const root = 'model.diffusion_model';
  const entries = [
    ...linear(`${root}.time_embed.0`, 320, timeWidth),
    ...linear(`${root}.time_embed.2`, timeWidth, timeWidth),
    ...conv(`${root}.input_blocks.0.0`, 4, 320, 3),
  ];
  const skips = [320];
  let channels = 320;
  let index = 1;
  unetChannels.forEach((output, level) => {
    for (let i = 0; i < 2; i++, index++) {
      entries.push(...unetResBlock(`${root}.input_blocks.${index}.0`, channels, output));
      if (level < 3) entries.push(...spatialTransformer(`${root}.input_blocks.${index}.1`, output));
      channels = output;
      skips.push(channels);
    }
    if (level < 3) {
      entries.push(...conv(`${root}.input_blocks.${index}.0.op`, channels, channels, 3));
      skips.push(channels);
      index++;
    }
  });
  entries.push(...unetResBlock(`${root}.middle_block.0`, 1280, 1280));
  entries.push(...spatialTransformer(`${root}.middle_block.1`, 1280));
  entries.push(...unetResBlock(`${root}.middle_block.2`, 1280, 1280));
  index = 0;
  for (let level = 3; level >= 0; level--) {
    const output = unetChannels[level];
    for (let i = 0; i < 3; i++, index++) {
      const block = `${root}.output_blocks.${index}`;
      entries.push(...unetResBlock(`${block}.0`, channels + skips.pop(), output));
      channels = output;
      if (level < 3) entries.push(...spatialTransformer(`${block}.1`, output));
      if (i === 2 && level > 0)
        entries.push(...conv(`${block}.${level < 3 ? 2 : 1}.conv`, output, output, 3));
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

function listAutoencoder() {
  const root = 'first_stage_model';
  const encoder = `${root}.encoder`;
  const decoder = `${root}.decoder`;
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
  entries.push(...conv(`${encoder}.conv_out`, 512, 8, 3), ...conv(`${decoder}.conv_in`, 4, 512, 3));
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
  return [...entries, ...conv(`${root}.quant_conv`, 8, 8, 1), ...conv(`${root}.post_quant_conv`, 4, 4, 1)];
}
