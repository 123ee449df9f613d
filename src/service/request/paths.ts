// Clients of the servers may only name files inside the allowed folders. Links are followed before the check.
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { findNamed, missingNamed, type NamedKind } from '../../registry/named-files.js';
import type { Config } from '../../shared/config.js';
import { ImageForgeError } from '../../shared/errors.js';

/**
 * Resolves a path that a client names, relative to the working directory.
 * @throws ImageForgeError FORBIDDEN outside the folders, even for files that don't exist, so that clients cannot probe.
 */
export function confinePath(
  name: string,
  folders: readonly string[],
  { workingDir }: Pick<Config, 'workingDir'>,
): string {
  const file = resolveLinks(path.resolve(workingDir, name));
  if (!folders.some((folder) => isInside(file, resolveLinks(folder)))) {
    throw new ImageForgeError('FORBIDDEN', `${name} is outside the folders that clients may use.`, {
      hint: `Put it in ${folders[0]}, send the picture as base64, or list its folder in ALLOWED_PATHS.`,
      details: { path: name },
    });
  }
  return file;
}

/**
 * Finds the file that a client names. Names in the folders for its kind are always allowed; paths must lie in `folders`.
 * @throws ImageForgeError NOT_FOUND for an unknown name, FORBIDDEN.
 */
export function confineNamed(
  kind: NamedKind,
  name: string,
  folders: readonly string[],
  config: Config,
): string {
  const found = findNamed(kind, name, config);
  if (found === undefined && !/[\\/]/.test(name)) throw missingNamed(kind, name, config);
  return found ?? confinePath(name, folders, config);
}

function isInside(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

/** The real path. Where the end of a path doesn't exist, only the part that exists is resolved. */
function resolveLinks(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    const parent = path.dirname(file);
    return parent === file ? file : path.join(resolveLinks(parent), path.basename(file));
  }
}
