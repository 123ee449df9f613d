// ControlNets by name: a path, or what lies in the folder for ControlNets, a file or a diffusers folder.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { findNamed, isFile } from './named-files.js';

type Folders = Pick<Config, 'modelDir'>;

/** Where ControlNets are looked for by name, before the model folder itself. */
export function controlNetFolder({ modelDir }: Folders): string {
  return path.join(modelDir, 'controlnet');
}

/** Names of what lies in the folder. */
export function listControlNets(folders: Folders): string[] {
  const folder = controlNetFolder(folders);
  const names = listFolder(folder).filter((name) => holdsWeights(path.join(folder, name)));
  return [...new Set(names.map((name) => name.replace(WEIGHTS, '')))].sort();
}

export function findControlNet(name: string, folders: Folders): string | undefined {
  return findNamed(name, [controlNetFolder(folders), folders.modelDir], {
    endings: ['.safetensors', '.gguf'],
    accepts: holdsWeights,
  });
}

/** @throws ImageForgeError NOT_FOUND that names the folder. */
export function resolveControlNet(name: string, config: Pick<Config, 'modelDir' | 'workingDir'>): string {
  const direct = path.resolve(config.workingDir, name);
  const found = holdsWeights(direct) || isFile(direct) ? direct : findControlNet(name, config);
  if (found !== undefined) return found;
  throw missingControlNet(name, config);
}

export function missingControlNet(name: string, folders: Folders): ImageForgeError {
  const folder = controlNetFolder(folders);
  return new ImageForgeError(
    'NOT_FOUND',
    `There is no ControlNet ${name}, neither as a file nor in ${folder}.`,
    {
      hint: `Name a file such as control_v11p_sd15_canny.safetensors, or put it into ${folder}.`,
      details: { control: name, folder },
    },
  );
}

const WEIGHTS = /\.(safetensors|gguf)$/;

/** A file of weights, or a folder with one. */
function holdsWeights(place: string): boolean {
  const info = statSync(place, { throwIfNoEntry: false });
  if (info?.isFile()) return WEIGHTS.test(place);
  return info?.isDirectory() === true && listFolder(place).some((name) => WEIGHTS.test(name));
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
