// Every name by which LoRA files call the weights of a model's networks.
import type { ClipConfig } from '../networks/clip.js';
import { denoisers, ofKind } from '../networks/index.js';
import type { ModelPlan, NetworkPlan } from '../types.js';
import { denoiserPrefixes, kohyaDenoiserPrefixes, textPrefixes, underscored } from './prefixes.js';
import { diffusersAliases, textAliases } from './spellings.js';
import type { Alias, LoraTarget } from './target.js';

/** All names of all targets. Where two conventions clash, the first stays. */
export function listLoraTargets(plan: ModelPlan): Map<string, LoraTarget> {
  const targets = new Map<string, LoraTarget>();
  const add = (name: string, target: LoraTarget) => {
    if (!targets.has(name)) targets.set(name, target);
  };
  for (const { path, target } of denoiserAliases(plan.denoiser)) {
    for (const prefix of denoiserPrefixes) add(prefix + path, { network: 'denoiser', ...target });
    for (const prefix of kohyaDenoiserPrefixes)
      add(prefix + underscored(path), { network: 'denoiser', ...target });
  }
  for (const [network, encoder] of plan.textEncoders.entries()) {
    const { dotted, kohya } = textPrefixes[encoder.part];
    const own = ownAliases(encoder);
    for (const { path, target } of [...own, ...textAliases(own, encoder)]) {
      for (const prefix of dotted) add(prefix + path, { network, ...target });
      for (const prefix of kohya) add(prefix + underscored(path), { network, ...target });
    }
  }
  return targets;
}

/** Weights under the network's own names, norms' among them. */
function ownAliases({ weights, config }: NetworkPlan): Alias[] {
  const names = new Set(weights.tensors.map(({ name }) => name));
  const transposed = (config as Partial<ClipConfig>).projectionTransposed === true;
  const aliases: Alias[] = [];
  for (const name of names) {
    const path = name.replace(/\.(weight|scale)$/, '');
    if (path === name) continue;
    const bias = names.has(`${path}.bias`) ? { bias: `${path}.bias` } : {};
    const target: Alias['target'] = { tensor: name, ...bias };
    if (transposed && path === 'text_projection') target.transposed = true;
    aliases.push({ path, target });
    // files that replace a norm's values call it by its whole name
    if (name.endsWith('.scale')) aliases.push({ path: name, target });
  }
  return aliases;
}

function denoiserAliases(denoiser: NetworkPlan): Alias[] {
  const own = ownAliases(denoiser);
  const modules = ofKind(denoisers, denoiser.kind).diffusersModules?.(denoiser.config) ?? [];
  return [...own, ...diffusersAliases(own, modules)];
}
