// LoRA files by name: a path, or a file of the LoRA folders with or without its ending.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { findNamed, isFile } from './named-files.js';

export type LoraFolders = Pick<Config, 'loraDir' | 'modelDir'>;

interface Lora {
  path: string;
  strength: number;
}

/** Where names are looked for, in this order. */
export function listLoraFolders({ loraDir, modelDir }: LoraFolders): string[] {
  return [...new Set([...(loraDir ? [loraDir] : []), path.join(modelDir, 'loras'), modelDir])];
}

/** What lies in the folders for LoRAs alone; where a name is in both, the first counts. */
export function listLoras(folders: LoraFolders): { name: string; file: string }[] {
  const found = new Map<string, string>();
  for (const folder of listLoraFolders(folders).slice(0, -1)) {
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder)) {
      const name = file.replace(/\.safetensors$/, '');
      if (name !== file && !found.has(name)) found.set(name, path.join(folder, file));
    }
  }
  return [...found].map(([name, file]) => ({ name, file })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A file inside of the LoRA folders; names don't lead out of them. */
export function findLora(name: string, folders: LoraFolders): string | undefined {
  return findNamed(name, listLoraFolders(folders));
}

/**
 * Files instead of names; the strengths of one file add up, and what comes to 0 is left out.
 * @throws ImageForgeError NOT_FOUND that names the folders.
 */
export function resolveLoras(wanted: readonly Lora[], config: Config): Lora[] {
  const strengths = new Map<string, number>();
  for (const { path: name, strength } of wanted) {
    const direct = path.resolve(config.workingDir, name);
    const file = isFile(direct) ? direct : findLora(name, config);
    if (file === undefined) throw missingLora(name, config);
    strengths.set(file, (strengths.get(file) ?? 0) + strength);
  }
  return [...strengths]
    .map(([file, strength]) => ({ path: file, strength: Number(strength.toFixed(6)) }))
    .filter(({ strength }) => strength !== 0);
}

export function missingLora(name: string, folders: LoraFolders): ImageForgeError {
  const places = listLoraFolders(folders);
  return new ImageForgeError(
    'NOT_FOUND',
    `There is no LoRA ${name}, neither as a file nor in ${places.join(', ')}.`,
    {
      hint: `Put ${path.basename(name).replace(/\.safetensors$/, '')}.safetensors into ${places[0]}.`,
      details: { lora: name, folders: places },
    },
  );
}
