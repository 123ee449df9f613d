// Finds the catalogue's files on this disk: in our model folder, then in the Hugging Face caches that other programs fill.
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../shared/config.js';
import type { HubFile } from './catalog.js';

export type ModelFolders = Pick<Config, 'modelDir' | 'hubCache' | 'hubHome'>;

/** The model in the package. It has the same place beside src/ and dist/. */
export function locatePocket(): string {
  return fileURLToPath(new URL('../../models/pocket.gguf', import.meta.url));
}

/** Path of a hub file on this disk; undefined if it is not here. */
export function locateHubFile({ repo, path: name }: HubFile, folders: ModelFolders): string | undefined {
  const base = path.basename(name);
  const own = [path.join(folders.modelDir, ...repo.split('/'), name), path.join(folders.modelDir, base)];
  return own.find(isFile) ?? hubCaches(folders).flatMap((cache) => findSnapshots(cache, repo, name))[0];
}

/** Where `models pull` puts a file. A file that was put there by hand is found too. */
export function ownPathOf({ repo, path: name }: HubFile, { modelDir }: ModelFolders): string {
  return path.join(modelDir, ...repo.split('/'), name);
}

/** Model files directly in the model folder, with their names without ending. */
export function listLooseModels({ modelDir }: ModelFolders): { name: string; file: string }[] {
  if (!existsSync(modelDir)) return [];
  return readdirSync(modelDir, { withFileTypes: true })
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && /\.(gguf|safetensors)$/.test(entry.name))
    .map(({ name }) => ({ name: name.replace(/\.\w+$/, ''), file: path.join(modelDir, name) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function hubCaches({ hubCache, hubHome }: ModelFolders): string[] {
  return [hubCache, path.join(hubHome, 'hub')].filter((folder) => folder !== '' && existsSync(folder));
}

/** The hub's cache layout: models--OWNER--NAME/snapshots/COMMIT/PATH, the newest commit first. */
function findSnapshots(cache: string, repo: string, name: string): string[] {
  const snapshots = path.join(cache, `models--${repo.replaceAll('/', '--')}`, 'snapshots');
  if (!existsSync(snapshots)) return [];
  return readdirSync(snapshots)
    .map((commit) => path.join(snapshots, commit))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
    .map((folder) => path.join(folder, name))
    .filter(isFile);
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}
