// Every name by which LoRA files call the weights of a model's networks.
import { denoisers, ofKind } from './networks/index.js';
import type { DiffusersModule } from './networks/network.js';
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
  const modules = ofKind(denoisers, denoiser.kind).diffusersModules?.(denoiser.config) ?? [];
  return [...own, ...diffusersAliases(own, modules)];
}

/** What lies in a module has the same name below it in both conventions. */
function diffusersAliases(own: Alias[], modules: readonly DiffusersModule[]): Alias[] {
  const byPath = new Map<string, DiffusersModule[]>();
  for (const module of modules) byPath.set(module.own, [...(byPath.get(module.own) ?? []), module]);
  return own.flatMap(({ path, target }) => {
    for (let end = path.length; end > 0; end = path.lastIndexOf('.', end - 1)) {
      const found = byPath.get(path.slice(0, end));
      if (!found) continue;
      return found.map(({ diffusers, own, ...rows }) => ({
        path: diffusers + path.slice(end),
        target: { ...target, ...rows },
      }));
    }
    return [];
  });
}
