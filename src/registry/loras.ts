// Finds LoRA files by name and adds up their strengths.
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { listFolder, type NamedFolders, type NamedKind, resolveNamed } from './named-files.js';

interface Lora {
  path: string;
  strength: number;
}

export const loras: NamedKind = {
  what: 'LoRA',
  field: 'lora',
  example: 'ink.safetensors',
  folders: ({ loraDir, modelDir }) => [
    ...new Set([...(loraDir ? [loraDir] : []), path.join(modelDir, 'loras'), modelDir]),
  ],
  endings: ['.safetensors'],
};

/** The LoRAs in the folders that are for LoRAs alone. If both have a name, the first counts. */
export function listLoras(config: NamedFolders): { name: string; file: string }[] {
  const found = new Map<string, string>();
  for (const folder of loras.folders(config).slice(0, -1)) {
    for (const file of listFolder(folder)) {
      const name = file.replace(/\.safetensors$/, '');
      if (name !== file && !found.has(name)) found.set(name, path.join(folder, file));
    }
  }
  return [...found].map(([name, file]) => ({ name, file })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Replaces names by files. The strengths of one file are added, and a sum of 0 is left out.
 * @throws ImageForgeError NOT_FOUND that names the folders.
 */
export function resolveLoras(wanted: readonly Lora[], config: Config): Lora[] {
  const strengths = new Map<string, number>();
  for (const { path: name, strength } of wanted) {
    const file = resolveNamed(loras, name, config);
    strengths.set(file, (strengths.get(file) ?? 0) + strength);
  }
  return [...strengths]
    .map(([file, strength]) => ({ path: file, strength: Number(strength.toFixed(6)) }))
    .filter(({ strength }) => strength !== 0);
}
