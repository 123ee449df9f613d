// What a Stable Diffusion UNet is made for, by its input channels and by modules that only some tasks have. A UNet of a
// task that ImageForge does not have is refused by the task's name before anything is loaded.

import { ImageForgeError } from '../../shared/errors.js';
import type { FoundNetwork } from '../find-networks.js';
import { headSize, readUnetConfig, type UnetConfig } from '../networks/unet.js';
import { below } from '../tensors.js';

/** Modules beside those of a text-to-image UNet, in LDM's or diffusers' names, and what has them. */
const foreignModules: [pattern: RegExp, what: string][] = [
  [
    /(^|\.)(time_stack|time_mixer|temporal_transformer_blocks|temporal_res_block)\./,
    'a UNet for video (Stable Video Diffusion)',
  ],
  [/(^|\.)motion_modules\./, 'a UNet for video (AnimateDiff)'],
  [/(^|\.)(temopral_conv|temp_convs|temp_attentions)\./, 'a UNet for video (ModelScope)'],
  [/^position_net\.|\.fuser\./, 'a UNet with GLIGEN, which takes boxes'],
  [/(^|\.)(to_k_ip|to_v_ip)\./, 'a UNet with an IP-Adapter in it, which takes a picture as prompt'],
  [/(^|\.)add_[kv]_proj\./, 'a UNet of DeepFloyd IF or Kandinsky'],
  [/^encoder_hid_proj\./, 'a UNet whose context is projected (Kolors, Kandinsky)'],
  [/^(add_embedding\.image_|add_embedding\.text_)/, 'a UNet of Kandinsky or DeepFloyd IF'],
  [
    /^(label_emb|class_embedding)\.weight$/,
    'a UNet with classes or noise levels beside the prompt (x4-upscaler)',
  ],
  [/^class_embedding\./, 'a UNet that takes the embedding of a picture (SD 2.1 unCLIP)'],
  [/^time_embed_cond\./, 'a UNet with a second embedding of time'],
];

const lcm = /^time_embed(ding)?\.cond_proj\./;

/** @throws ImageForgeError UNSUPPORTED by the task's name */
export function requireUnetTask(denoiser: FoundNetwork): void {
  const { source, tensors } = denoiser;
  const { label } = source;
  const raw = below(source.tensors, denoiser.prefix);
  for (const [pattern, what] of foreignModules)
    for (const name of raw.keys()) if (pattern.test(name)) throw refuse(label, what, name);
  for (const name of raw.keys())
    if (lcm.test(name))
      throw refuse(
        label,
        'an LCM UNet with guidance embedded in its timestep',
        name,
        'Use the model it was made from together with an LCM LoRA.',
      );
  if (source.tensors.has('cc_projection.weight'))
    throw refuse(label, 'Zero123, which turns a picture of a thing', 'cc_projection.weight');
  if ((tensors.get('input_blocks.0.0.weight')?.shape.length ?? 4) === 5)
    throw refuse(label, 'a UNet for video', 'input_blocks.0.0.weight');
  requireSettings(denoiser);
  const unet = readUnetConfig(tensors, label, { normGroups: 32, headDim: headSize(tensors) });
  requireChannels(label, unet);
  requireVector(label, unet);
  requireKnownModules(label, raw.keys());
}

/** Latents come in, and mask and masked picture (1 + n channels) where the product paints into pictures. */
function requireChannels(label: string, { inChannels, outChannels: latent }: UnetConfig): void {
  const extra = inChannels - latent;
  if (extra === 0 || extra === latent + 1) return;
  const tasks: Record<number, string> = {
    [latent]:
      'for pictures that are changed by an instruction, or a depth or view that is estimated (InstructPix2Pix, CosXL Edit, Marigold, Zero123)',
    1: 'that takes a depth map (SD 2 depth2img)',
    3: 'that enlarges a picture (x4-upscaler)',
  };
  throw refuse(
    label,
    `a UNet ${tasks[extra] ?? 'of a task that is not known'}: it has ${inChannels} input channels and ${latent} output channels`,
    'input_blocks.0.0.weight',
  );
}

/** Only SDXL's base takes a vector: the refiner and unCLIP have theirs for something else. */
function requireVector(
  label: string,
  { channels, depth, vectorWidth, outChannels, contextWidth }: UnetConfig,
): void {
  if (vectorWidth === 0) return;
  if (vectorWidth <= outChannels)
    throw refuse(label, 'a UNet that takes a class beside the prompt (Lotus)', 'label_emb.0.0.weight');
  if (channels.length !== 4) return;
  if (depth[0] === 0)
    throw refuse(
      label,
      "the SDXL refiner, which can't make an image on its own",
      'label_emb.0.0.weight',
      "Use the SDXL base model; a second pass over its image (hires fix, img2img) takes the refiner's place.",
    );
  const unclip = 'SD 2.1 unCLIP, which takes the embedding of a picture';
  const what = contextWidth === 1024 ? unclip : `${unclip}, or the SDXL refiner`;
  throw refuse(label, what, 'label_emb.0.0.weight');
}

const top =
  /^(input_blocks|middle_block|output_blocks|time_embed|label_emb|out|down_blocks|mid_block|up_blocks|conv_in|conv_out|conv_norm_out|time_embedding|add_embedding)\./;
const transformer = String.raw`(norm|proj_in|proj_out|transformer_blocks\.\d+\.(attn[12]\.(to_[qkv]|to_out\.0)|ff\.net\.(0\.proj|2)|norm[123]))`;
const knownModules = new RegExp(
  `^(${[
    String.raw`input_blocks\.0\.0|time_embed\.[02]|label_emb\.0\.[02]|out\.[02]`,
    String.raw`(input_blocks\.\d+|middle_block|output_blocks\.\d+)\.\d\.(op|conv|in_layers\.[02]|emb_layers\.1|out_layers\.[03]|skip_connection|${transformer})`,
    String.raw`conv_in|conv_out|conv_norm_out|time_embedding\.linear_[12]|add_embedding\.linear_[12]`,
    String.raw`(down_blocks\.\d+|mid_block|up_blocks\.\d+)\.(resnets\.\d+\.(norm[12]|conv[12]|time_emb_proj|conv_shortcut)|attentions\.\d+\.${transformer}|(down|up)samplers\.0\.conv)`,
  ].join('|')})\\.`,
);

/** A module that no UNet here computes would be passed over without a word. */
function requireKnownModules(label: string, names: Iterable<string>): void {
  for (const name of names)
    if (top.test(name) && !knownModules.test(name))
      throw refuse(label, `a UNet with a part that ImageForge does not compute: ${name}`, name);
}

/** Settings of diffusers' config.json that change what the same tensors compute, and their values in these families. */
const settings: Record<string, readonly unknown[]> = {
  act_fn: ['silu', 'swish'],
  addition_embed_type: [null, 'text_time'],
  attention_type: ['default'],
  center_input_sample: [false],
  class_embed_type: [null],
  class_embeddings_concat: [false],
  conv_in_kernel: [3],
  conv_out_kernel: [3],
  cross_attention_norm: [null],
  downsample_padding: [1],
  dual_cross_attention: [false],
  encoder_hid_dim_type: [null],
  flip_sin_to_cos: [true],
  freq_shift: [0],
  mid_block_scale_factor: [1],
  resnet_skip_time_act: [false],
  resnet_time_scale_shift: ['default'],
  time_cond_proj_dim: [null],
  time_embedding_act_fn: [null],
  time_embedding_type: ['positional'],
  timestep_post_act: [null],
};

function requireSettings({ source: { config, label } }: FoundNetwork): void {
  for (const [key, values] of Object.entries(settings)) {
    const value = config?.[key];
    if (value === undefined || value === null || values.includes(value)) continue;
    throw refuse(
      label,
      `a UNet whose config.json has ${key}: ${JSON.stringify(value)}; ${JSON.stringify(values[0])} runs`,
      key,
    );
  }
}

function refuse(label: string, what: string, tensor: string, hint?: string): ImageForgeError {
  return new ImageForgeError('UNSUPPORTED', `${label} is ${what}`, {
    hint: hint ?? 'Text to image, changed pictures and painting into pictures (inpainting, 9 channels) run.',
    details: { file: label, tensor },
  });
}
