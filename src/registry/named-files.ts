// Finds the weights that a request names, by a path or by their name in the folders for their kind.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';

export type NamedFolders = Pick<Config, 'modelDir' | 'loraDir'>;

export interface NamedKind {
  /** What messages call it: "LoRA". */
  what: string;
  /** Its key in the details of errors. */
  field: string;
  /** A published file as an example in hints. */
  example: string;
  /** Folders that are searched for names, in this order. Hints tell users to put files into the first. */
  folders(config: NamedFolders): string[];
  /** Endings of its files. A name may leave them out. */
  endings: readonly string[];
  /** Whether this file or folder is one. Default: any file. */
  accepts?(place: string): boolean;
}

/** Finds a name in the folders; names can't lead out of them. */
export function findNamed(kind: NamedKind, name: string, config: NamedFolders): string | undefined {
  if (path.isAbsolute(name) || name.split(/[\\/]/).includes('..')) return undefined;
  return kind
    .folders(config)
    .flatMap((folder) => ['', ...kind.endings].map((ending) => path.join(folder, name + ending)))
    .find(kind.accepts ?? isFile);
}

/** @throws ImageForgeError NOT_FOUND that names the folders. */
export function resolveNamed(
  kind: NamedKind,
  name: string,
  config: NamedFolders & Pick<Config, 'workingDir'>,
): string {
  const direct = path.resolve(config.workingDir, name);
  const found = isFile(direct) || kind.accepts?.(direct) ? direct : findNamed(kind, name, config);
  if (found === undefined) throw missingNamed(kind, name, config);
  return found;
}

export function missingNamed(
  { what, field, example, folders }: NamedKind,
  name: string,
  config: NamedFolders,
): ImageForgeError {
  const places = folders(config);
  return new ImageForgeError(
    'NOT_FOUND',
    `There is no ${what} ${name}, neither as a file nor in ${places.join(', ')}.`,
    {
      hint: `Name a file such as ${example}, or put it into ${places[0]}.`,
      details: { [field]: name, folders: places },
    },
  );
}

/** Names in a folder, sorted; none if there is no such folder. */
export function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

export function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}
