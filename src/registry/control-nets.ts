// Finds ControlNets by name: files, or diffusers folders.
import { statSync } from 'node:fs';
import path from 'node:path';
import { listFolder, type NamedFolders, type NamedKind } from './named-files.js';

export const controlNets: NamedKind = {
  what: 'ControlNet',
  field: 'control',
  example: 'control_v11p_sd15_canny.safetensors',
  folders: ({ modelDir }) => [path.join(modelDir, 'controlnet'), modelDir],
  endings: ['.safetensors', '.gguf'],
  accepts: holdsWeights,
};

/** Names of the ControlNets in their folder. */
export function listControlNets(config: NamedFolders): string[] {
  const [folder] = controlNets.folders(config) as [string];
  const names = listFolder(folder).filter((name) => holdsWeights(path.join(folder, name)));
  return [...new Set(names.map((name) => name.replace(WEIGHTS, '')))];
}

const WEIGHTS = /\.(safetensors|gguf)$/;

/** Whether it is a file of weights, or a folder with one. */
function holdsWeights(place: string): boolean {
  const info = statSync(place, { throwIfNoEntry: false });
  if (info?.isFile()) return WEIGHTS.test(place);
  return info?.isDirectory() === true && listFolder(place).some((name) => WEIGHTS.test(name));
}
