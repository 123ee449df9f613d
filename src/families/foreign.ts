// Networks that people have and ImageForge doesn't run, so that a refusal names what it found.
import type { Tensors } from './tensors.js';

/** Each is known by a tensor that only it has. The first match counts. */
const foreign: [RegExp, string][] = [
  [/(^|\.)distilled_guidance_layer\./, 'Chroma'],
  [/(^|\.)joint_blocks\.0\./, 'Stable Diffusion 3'],
  [/(^|\.)pos_embed\.proj\.weight$/, 'Stable Diffusion 3 or PixArt'],
  [/(^|\.)transformer_blocks\.0\.img_mod\.1\./, 'Qwen-Image'],
  [/(^|\.)blocks\.0\.self_attn\.norm_q\./, 'Wan'],
  [/(^|\.)cap_embedder\.0\./, 'Lumina or Z-Image'],
  [/(^|\.)double_blocks\.0\.img_attn_qkv\./, 'Hunyuan Video'],
  [/(^|\.)prior\.|(^|\.)clf\.1\.weight$/, 'Stable Cascade'],
  [/(^|\.)down_blocks\.0\.motion_modules\./, 'AnimateDiff'],
  [/\.resnets\.0\.spatial_res_block\./, 'Stable Video Diffusion'],
  [
    /(^|\.)controlnet_x_embedder\.|(^|\.)controlnet_blocks\.0\./,
    'a ControlNet for FLUX or Stable Diffusion 3',
  ],
  [/^lllite_/, 'a ControlNet-LLLite'],
  [/(^|\.)adapter\.(body|conv_in|unshuffle)\b|^body\.0\.block1\./, 'a T2I-Adapter'],
];

/** The name of what the file holds, for people. */
export function findForeign(tensors: Tensors): string | undefined {
  for (const [pattern, name] of foreign) for (const key of tensors.keys()) if (pattern.test(key)) return name;
  return undefined;
}
