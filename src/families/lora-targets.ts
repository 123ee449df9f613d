// Every name by which LoRA files call the weights of a model's networks.
import type { FluxConfig, UnetConfig } from '../native/configs.js';
import { fluxModules } from './networks/flux-names.js';
import { unetModulePairs } from './networks/unet-names.js';
import type { ModelPlan, NetworkPlan, Part } from './types.js';

/** What a name stands for. */
export interface LoraTarget {
  /** 'denoiser', or the index of a text encoder in the plan. */
  network: 'denoiser' | number;
  /** The network's tensor. */
  tensor: string;
  /** First row of a fused matrix, and how many are the module's own. */
  row?: number;
  rows?: number;
  /** The module's two halves stand in the other order. */
  swapped?: boolean;
}

/** Module paths of a network in one convention, without prefix. */
interface Alias {
  path: string;
  target: Omit<LoraTarget, 'network'>;
}

const denoiserPrefixes = [
  '',
  'unet.',
  'transformer.',
  'diffusion_model.',
  'model.diffusion_model.',
  'base_model.model.',
  'unet.base_model.model.',
  'transformer.base_model.model.',
];

/** By part: the prefixes with dots, and kohya's with underscores. */
const textPrefixes: Record<Part, { dotted: string[]; kohya: string[] }> = {
  model: { dotted: [], kohya: [] },
  vae: { dotted: [], kohya: [] },
  clip_l: {
    dotted: ['text_encoder.', 'text_encoders.clip_l.transformer.', 'clip_l.transformer.', 'clip_l.'],
    kohya: ['lora_te_', 'lora_te1_'],
  },
  clip_g: {
    dotted: ['text_encoder_2.', 'text_encoders.clip_g.transformer.', 'clip_g.transformer.', 'clip_g.'],
    kohya: ['lora_te2_'],
  },
  t5xxl: {
    dotted: ['text_encoder_2.', 'text_encoders.t5xxl.transformer.', 't5xxl.transformer.', 't5xxl.'],
    kohya: ['lora_te3_', 'lora_te2_'],
  },
  llm: { dotted: ['text_encoder.', 'text_encoder.model.'], kohya: ['lora_te_', 'lora_te1_'] },
};

/** All names of all targets. Where two conventions clash, the first stays. */
export function listLoraTargets(plan: ModelPlan): Map<string, LoraTarget> {
  const targets = new Map<string, LoraTarget>();
  const add = (name: string, target: LoraTarget) => {
    if (!targets.has(name)) targets.set(name, target);
  };
  for (const { path, target } of denoiserAliases(plan.denoiser)) {
    for (const prefix of denoiserPrefixes) add(prefix + path, { network: 'denoiser', ...target });
    add(`lora_unet_${underscored(path)}`, { network: 'denoiser', ...target });
    add(`lora_transformer_${underscored(path)}`, { network: 'denoiser', ...target });
    add(`lycoris_${underscored(path)}`, { network: 'denoiser', ...target });
  }
  for (const [network, encoder] of plan.textEncoders.entries()) {
    const { dotted, kohya } = textPrefixes[encoder.part];
    for (const { path, target } of ownAliases(encoder)) {
      for (const prefix of dotted) add(prefix + path, { network, ...target });
      for (const prefix of kohya) add(prefix + underscored(path), { network, ...target });
    }
  }
  return targets;
}

function underscored(path: string): string {
  return path.replaceAll('.', '_');
}

/** Matrices and kernels under the network's own names. */
function ownAliases({ weights }: NetworkPlan): Alias[] {
  const aliases: Alias[] = [];
  for (const { name, shape } of weights.tensors)
    if (name.endsWith('.weight') && shape.length >= 2)
      aliases.push({ path: name.slice(0, -'.weight'.length), target: { tensor: name } });
  return aliases;
}

function denoiserAliases(denoiser: NetworkPlan): Alias[] {
  const own = ownAliases(denoiser);
  if (denoiser.kind === 'unet') return [...own, ...unetAliases(own, denoiser.config as UnetConfig)];
  return [...own, ...fluxAliases(own, denoiser.config as FluxConfig)];
}

function unetAliases(own: Alias[], { channels, resBlocks, depth }: UnetConfig): Alias[] {
  const pairs = unetModulePairs({
    levels: channels.length,
    resBlocks,
    attention: depth.map((blocks) => blocks > 0),
  });
  const toDiffusers = new Map(pairs.map(([diffusers, ldm]) => [ldm, diffusers]));
  const aliases: Alias[] = [];
  for (const { path, target } of own) {
    for (let end = path.length; end > 0; end = path.lastIndexOf('.', end - 1)) {
      const module = toDiffusers.get(path.slice(0, end));
      if (module === undefined) continue;
      aliases.push({ path: module + path.slice(end), target });
      break;
    }
  }
  return aliases;
}

function fluxAliases(own: Alias[], config: FluxConfig): Alias[] {
  const known = new Map(own.map(({ path, target }) => [path, target]));
  const aliases: Alias[] = [];
  for (const { diffusers, bfl, row, swapped } of fluxModules(config)) {
    const target = known.get(bfl);
    if (!target) continue;
    if (row === undefined)
      aliases.push({ path: diffusers, target: { ...target, ...(swapped && { swapped }) } });
    else
      aliases.push({
        path: diffusers,
        target: { ...target, row: row * config.width, rows: row === 3 ? config.mlpWidth : config.width },
      });
  }
  return aliases;
}
