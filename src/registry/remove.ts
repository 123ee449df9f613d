// Removes what `models pull` brought. Files of other programs, files that the user put there and files that another
// pulled model uses stay.
import { lstatSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { sweepTemporary } from '../shared/temporary-files.js';
import type { CatalogEntry, HubFile } from './catalog.js';
import { locateHubFile, ownPathOf } from './locate.js';
import { acquireLock } from './lock-file.js';
import { explainFailure, isLocked, partialNames } from './partial-file.js';
import { readMark, removeMark, writeMark } from './pull-mark.js';
import { listFiles } from './resolve-model.js';

export interface RemovedFile {
  file: string;
  removed: boolean;
  /** Bytes of disk space that are free again. */
  freed: number;
  /** Why it was kept. */
  reason?: string;
}

/**
 * @throws ImageForgeError NOT_FOUND when no file was pulled for it, BUSY while it is being pulled, OUTPUT_UNWRITABLE.
 */
export async function removeModel(entry: CatalogEntry, config: Config): Promise<RemovedFile[]> {
  const files = listFiles(entry).map(({ file }) => file);
  const targets = files.map((file) => ownPathOf(file, config));
  const busy = targets.find(isLocked);
  if (busy !== undefined) {
    throw new ImageForgeError('BUSY', `${busy} is being downloaded.`, {
      hint: 'Stop the download first, or wait for it.',
      details: { file: busy },
    });
  }
  if (!targets.some((target) => readMark(target)?.models.includes(entry.key))) {
    const found = files.map((file) => locateHubFile(file, config)).filter((file) => file !== undefined);
    throw new ImageForgeError('NOT_FOUND', `'${entry.key}' was not pulled: there is nothing to remove.`, {
      ...(found.length > 0 && {
        hint: `Other programs, other models or you brought ${found.join(', ')}; delete by hand what nothing needs.`,
      }),
      details: { model: entry.key },
    });
  }
  const results: RemovedFile[] = [];
  for (const file of files) results.push(...(await removeFile(file, entry.key, config)));
  return results;
}

async function removeFile(file: HubFile, key: string, config: Config): Promise<RemovedFile[]> {
  const target = ownPathOf(file, config);
  const keep = (name: string, reason: string) => [{ file: name, removed: false, freed: 0, reason }];
  const mark = readMark(target);
  if (!mark) {
    const found = locateHubFile(file, config);
    return found === undefined ? [] : keep(found, 'it was not made by `models pull`');
  }
  const others = mark.models.filter((model) => model !== key);
  if (others.length > 0) {
    await writeMark(target, { ...mark, models: others });
    return keep(target, `it was pulled for ${others.join(', ')} too`);
  }
  const found = lstatSync(target, { throwIfNoEntry: false });
  if (found && (!found.isFile() || found.size !== mark.size)) {
    await removeMark(target);
    return keep(target, 'it was replaced since it was pulled');
  }
  const { part, state, lock } = partialNames(target);
  const freed = [target, part].reduce((sum, name) => sum + sizeOnDisk(name), 0);
  await explainFailure(target, async () => {
    const unlock = await acquireLock(lock);
    try {
      for (const name of [target, part, state]) await rm(name, { force: true });
      await removeMark(target);
    } finally {
      await unlock();
    }
  });
  await sweepTemporary(path.dirname(target));
  await removeEmptyFolders(path.dirname(target), config.modelDir);
  return [{ file: target, removed: true, freed }];
}

/** A partial file has holes, which take no space. */
function sizeOnDisk(file: string): number {
  const info = lstatSync(file, { throwIfNoEntry: false });
  return info ? Math.min(info.size, info.blocks ? info.blocks * 512 : info.size) : 0;
}

async function removeEmptyFolders(folder: string, end: string): Promise<void> {
  const relative = path.relative(end, folder);
  if (relative === '' || relative.startsWith('..')) return;
  try {
    await rmdir(folder);
  } catch {
    return; // not empty
  }
  await removeEmptyFolders(path.dirname(folder), end);
}
