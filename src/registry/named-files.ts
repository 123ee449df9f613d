// Weights by name: what lies in a folder that is meant for them, with or without its ending.
import { statSync } from 'node:fs';
import path from 'node:path';

/** Something inside of the folders, which are looked through in their order; names don't lead out of them. */
export function findNamed(
  name: string,
  folders: readonly string[],
  { endings = ['.safetensors'], accepts = isFile }: { endings?: string[]; accepts?: typeof isFile } = {},
): string | undefined {
  if (path.isAbsolute(name) || name.split(/[\\/]/).includes('..')) return undefined;
  return folders
    .flatMap((folder) => ['', ...endings].map((ending) => path.join(folder, name + ending)))
    .find(accepts);
}

export function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}
