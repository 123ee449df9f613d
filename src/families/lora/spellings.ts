// The same modules in the words of others: a denoiser's in those that its network lists, text encoders' in older and
// newer ones.
import type { DiffusersModule } from '../networks/network.js';
import type { NetworkPlan } from '../types.js';
import type { Alias } from './target.js';

/** What lies in a module has the same name below it in both conventions. */
export function diffusersAliases(own: Alias[], modules: readonly DiffusersModule[]): Alias[] {
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

/** diffusers' first LoRAs called CLIP's projections as a UNet's; newer files leave "text_model" out. */
export function textAliases(own: Alias[], { kind }: NetworkPlan): Alias[] {
  if (kind === 't5') return own.filter(({ path }) => path === 'shared').map(asEmbedTokens);
  if (kind !== 'clip') return [];
  const aliases: Alias[] = [];
  for (const { path, target } of own) {
    const older = path
      .replace(/\.self_attn\.([qkv])_proj$/, '.self_attn.to_$1')
      .replace(/\.self_attn\.out_proj$/, '.self_attn.to_out');
    if (older !== path) aliases.push({ path: older, target });
    const newer = path.replace(/^text_model\./, '');
    if (newer !== path) aliases.push({ path: newer, target });
  }
  return aliases;
}

function asEmbedTokens({ target }: Alias): Alias {
  return { path: 'encoder.embed_tokens', target };
}
