// Finds the networks in opened files, by their tensors alone.
import { ImageForgeError } from '../shared/errors.js';
import { autoencoderLayouts } from './networks/autoencoder.js';
import { causalLmLayouts } from './networks/causal-lm.js';
import { clipLayouts } from './networks/clip.js';
import { controlNetLayouts } from './networks/controlnet.js';
import { fluxLayouts } from './networks/flux.js';
import type { Layout, NetworkKind } from './networks/layout.js';
import { rrdbNetLayouts } from './networks/rrdbnet.js';
import { t5Layouts } from './networks/t5.js';
import { tinyAutoencoderLayouts } from './networks/tiny-autoencoder.js';
import { unetLayouts } from './networks/unet.js';
import type { WeightSource } from './sources.js';
import { below, type Tensors } from './tensors.js';

export interface FoundNetwork {
  kind: NetworkKind;
  /** Whose names the file uses. */
  layout: string;
  /** What stands before the names in the file. */
  prefix: string;
  source: WeightSource;
  /** By the network's own names. */
  tensors: Tensors;
}

const layouts: Layout[] = [
  ...unetLayouts,
  ...fluxLayouts,
  ...autoencoderLayouts,
  ...tinyAutoencoderLayouts,
  ...clipLayouts,
  ...t5Layouts,
  ...causalLmLayouts,
  ...rrdbNetLayouts,
  ...controlNetLayouts,
];

export function findNetworks(source: WeightSource): FoundNetwork[] {
  const found: FoundNetwork[] = [];
  for (const layout of layouts) {
    for (const prefix of findPrefixes(source.tensors, layout)) {
      const tensors = layout.rename(below(source.tensors, prefix));
      found.push({ kind: layout.kind, layout: layout.name, prefix, source, tensors });
    }
  }
  return found;
}

function findPrefixes(tensors: Tensors, { marker, unless }: Layout): string[] {
  const prefixes: string[] = [];
  for (const name of tensors.keys()) {
    if (!name.endsWith(marker)) continue;
    const prefix = name.slice(0, -marker.length);
    if (prefix !== '' && !prefix.endsWith('.')) continue;
    if (unless !== undefined && name.endsWith(unless)) continue;
    prefixes.push(prefix);
  }
  return prefixes;
}

/** Words for people, where a file has no network that can be a model. */
export function describeNetworks(networks: readonly FoundNetwork[]): string {
  const words: Record<NetworkKind, string> = {
    unet: 'a UNet',
    flux: 'a FLUX transformer',
    autoencoder: 'an autoencoder',
    tiny_autoencoder: 'a tiny autoencoder',
    clip: 'a CLIP text encoder',
    t5: 'a T5 text encoder',
    causal_lm: 'a language model',
    rrdbnet: 'an upscaler',
    controlnet: 'a ControlNet',
  };
  const kinds = [...new Set(networks.map(({ kind }) => words[kind]))];
  return kinds.length === 0 ? 'no network that is known' : kinds.join(' and ');
}

/** Denoisers that people have and no family runs, by a name that only they have. */
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
  [
    /(^|\.)controlnet_x_embedder\.|(^|\.)controlnet_blocks\.0\./,
    'a ControlNet for FLUX or Stable Diffusion 3',
  ],
  [/^lllite_/, 'a ControlNet-LLLite'],
  [/(^|\.)adapter\.(body|conv_in|unshuffle)\b|^body\.0\.block1\./, 'a T2I-Adapter'],
];

/** A denoiser of an architecture that no family runs. */
export function findForeign(tensors: Tensors): string | undefined {
  for (const [pattern, name] of foreign) for (const key of tensors.keys()) if (pattern.test(key)) return name;
  return undefined;
}

/** What a model's file is when it has no denoiser that a family runs. */
export function refuseWithoutDenoiser(
  source: WeightSource,
  networks: readonly FoundNetwork[],
): ImageForgeError {
  const { label } = source;
  if (isLora(source.tensors)) {
    return new ImageForgeError('UNSUPPORTED', `${label} is a LoRA, not a model`, {
      hint: `Name a model, and this file with --lora ${label}.`,
      details: { file: label },
    });
  }
  if (networks.some(({ kind }) => kind === 'rrdbnet')) {
    return new ImageForgeError('UNSUPPORTED', `${label} is an upscaler, not a model`, {
      hint: `imageforge upscale IMAGE --model ${label}, or --upscale ${label} beside a model.`,
      details: { file: label },
    });
  }
  if (networks.some(({ kind }) => kind === 'controlnet')) {
    return new ImageForgeError('UNSUPPORTED', `${label} is a ControlNet, not a model`, {
      hint: `Name a model, and this file with --control ${label} --control-image IMAGE.`,
      details: { file: label },
    });
  }
  const architecture = findForeign(source.tensors);
  if (architecture !== undefined) {
    return new ImageForgeError('UNSUPPORTED', `${label} is ${architecture}, which ImageForge doesn't run`, {
      hint: 'Stable Diffusion 1.x, 2.x, XL and FLUX.1, FLUX.2 run.',
      details: { file: label },
    });
  }
  const flag = networks.length > 0 ? partOption(networks[0]!.kind) : undefined;
  return new ImageForgeError(
    'MODEL_INCOMPLETE',
    `${label} has ${describeNetworks(networks)}, but no denoiser (UNet or FLUX transformer)`,
    {
      hint: flag
        ? `Name the model with --model FILE and this file with ${flag} ${label}.`
        : 'Name a Stable Diffusion or FLUX model as GGUF, safetensors or a diffusers folder.',
      details: { file: label },
    },
  );
}

function partOption(kind: NetworkKind): string | undefined {
  const options: Partial<Record<NetworkKind, string>> = {
    autoencoder: '--vae',
    tiny_autoencoder: '--tae',
    clip: '--clip-l',
    t5: '--t5xxl',
    causal_lm: '--llm',
  };
  return options[kind];
}

export function isLora(tensors: Tensors): boolean {
  let count = 0;
  for (const name of tensors.keys()) if (/\.lora_(up|down|A|B)\b|\.lora\.(up|down)\./.test(name)) count++;
  return count > 0 && count * 4 > tensors.size;
}
