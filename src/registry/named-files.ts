// Weights that requests name: by a path, or by what they are called in the folders for their kind.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';

export type NamedFolders = Pick<Config, 'modelDir' | 'loraDir'>;

export interface NamedKind {
  /** For messages: "LoRA". */
  what: string;
  /** What an error's details call it. */
  field: string;
  /** A published file, for hints. */
  example: string;
  /** Where names are looked for, in this order; the first is the one to put files into. */
  folders(config: NamedFolders): string[];
  /** Of its files; a name may leave it out. */
  endings: readonly string[];
  /** Where a folder may be one too. */
  accepts?(place: string): boolean;
}

/** Something inside of the folders; names don't lead out of them. */
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

/** Names in a folder, sorted; none where there is no such folder. */
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
