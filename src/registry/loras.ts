// Finds LoRA files by name and adds up their strengths.
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { listFolder, type NamedFolders, type NamedKind, resolveNamed } from './named-files.js';

interface Lora {
  path: string;
  /** Of what it changes in the denoiser. */
  strength: number;
  /** Of what it changes in text encoders; default: `strength`. */
  textStrength?: number | undefined;
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
  const strengths = new Map<string, { denoiser: number; text: number }>();
  for (const { path: name, strength, textStrength = strength } of wanted) {
    const file = resolveNamed(loras, name, config);
    const { denoiser, text } = strengths.get(file) ?? { denoiser: 0, text: 0 };
    strengths.set(file, { denoiser: round(denoiser + strength), text: round(text + textStrength) });
  }
  return [...strengths]
    .filter(([, { denoiser, text }]) => denoiser !== 0 || text !== 0)
    .map(([file, { denoiser, text }]) => ({
      path: file,
      strength: denoiser,
      ...(text !== denoiser && { textStrength: text }),
    }));
}

/** Sums of decimal fractions without the digits that binary ones add. */
function round(strength: number): number {
  return Number(strength.toFixed(6));
}
