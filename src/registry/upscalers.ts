// Upscaler files by name: a path, or a file of the folder for upscalers with or without its ending.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { findNamed, isFile } from './named-files.js';

type Folders = Pick<Config, 'modelDir'>;

/** Where upscalers are looked for by name, before the model folder itself. */
export function upscalerFolder({ modelDir }: Folders): string {
  return path.join(modelDir, 'upscalers');
}

export function listUpscalers(folders: Folders): { name: string; file: string }[] {
  const folder = upscalerFolder(folders);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.safetensors'))
    .sort()
    .map((file) => ({ name: file.replace(/\.safetensors$/, ''), file: path.join(folder, file) }));
}

/** A file inside of the folders; names don't lead out of them. */
export function findUpscaler(name: string, folders: Folders): string | undefined {
  return findNamed(name, [upscalerFolder(folders), folders.modelDir]);
}

/** @throws ImageForgeError NOT_FOUND that names the folder. */
export function resolveUpscaler(name: string, config: Pick<Config, 'modelDir' | 'workingDir'>): string {
  const direct = path.resolve(config.workingDir, name);
  const file = isFile(direct) ? direct : findUpscaler(name, config);
  if (file !== undefined) return file;
  const folder = upscalerFolder(config);
  throw new ImageForgeError(
    'NOT_FOUND',
    `There is no upscaler ${name}, neither as a file nor in ${folder}.`,
    {
      hint: `Name a file such as RealESRGAN_x4plus.safetensors, or put it into ${folder}.`,
      details: { upscaler: name, folder },
    },
  );
}
