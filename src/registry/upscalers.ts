// Finds upscaler files by name.
import path from 'node:path';
import { listFolder, type NamedFolders, type NamedKind } from './named-files.js';

export const upscalers: NamedKind = {
  what: 'upscaler',
  field: 'upscaler',
  example: 'RealESRGAN_x4plus.safetensors',
  folders: ({ modelDir }) => [path.join(modelDir, 'upscalers'), modelDir],
  endings: ['.safetensors'],
};

/** The upscalers in their folder. */
export function listUpscalers(config: NamedFolders): { name: string; file: string }[] {
  const [folder] = upscalers.folders(config) as [string];
  return listFolder(folder)
    .filter((file) => file.endsWith('.safetensors'))
    .map((file) => ({ name: file.replace(/\.safetensors$/, ''), file: path.join(folder, file) }));
}
