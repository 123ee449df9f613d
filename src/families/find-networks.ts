// Finds the networks in opened files by their tensors alone.
import { type NetworkKind, networks, ofKind } from './networks/index.js';
import type { Layout } from './networks/network.js';
import type { WeightSource } from './sources.js';
import { below, type Tensors } from './tensors.js';

export interface FoundNetwork {
  kind: NetworkKind;
  /** Whose names the file uses. */
  layout: string;
  /** The prefix of its names in the file. */
  prefix: string;
  source: WeightSource;
  /** By the network's own names. */
  tensors: Tensors;
}

export function findNetworks(source: WeightSource): FoundNetwork[] {
  const found: FoundNetwork[] = [];
  for (const { kind, layouts } of networks) {
    for (const layout of layouts) {
      for (const prefix of findPrefixes(source.tensors, layout)) {
        const tensors = layout.rename(below(source.tensors, prefix));
        found.push({ kind, layout: layout.name, prefix, source, tensors });
      }
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

/** Words for people: 'an autoencoder and a CLIP text encoder'. */
export function describeNetworks(found: readonly FoundNetwork[]): string {
  const titles = new Set(found.map(({ kind }) => ofKind(networks, kind).title));
  return titles.size === 0 ? 'no network that is known' : [...titles].join(' and ');
}
