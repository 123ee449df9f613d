// Clients of the servers may name files only inside the allowed folders; links are followed before the check.
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { findNamed, missingNamed, type NamedKind } from '../../registry/named-files.js';
import type { Config } from '../../shared/config.js';
import { ImageForgeError } from '../../shared/errors.js';

/**
 * The absolute path of a file that a client names, relative to the working directory.
 * @throws ImageForgeError FORBIDDEN outside of the folders, for files that don't exist too: existence is no one's business.
 */
export function confinePath(
  name: string,
  folders: readonly string[],
  { workingDir }: Pick<Config, 'workingDir'>,
): string {
  const file = resolveLinks(path.resolve(workingDir, name));
  if (!folders.some((folder) => isInside(file, resolveLinks(folder)))) {
    throw new ImageForgeError('FORBIDDEN', `${name} is outside of the folders that clients may use.`, {
      hint: `Put it into ${folders[0]}, send the picture as base64, or list its folder in ALLOWED_PATHS.`,
      details: { path: name },
    });
  }
  return file;
}

/**
 * The file that a client names: names of the folders for its kind are free, paths must lie in `folders`.
 * @throws ImageForgeError NOT_FOUND for a name that nothing has, FORBIDDEN.
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

/** The real path; what doesn't exist keeps its last parts. */
function resolveLinks(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    const parent = path.dirname(file);
    return parent === file ? file : path.join(resolveLinks(parent), path.basename(file));
  }
}
