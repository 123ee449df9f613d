// Downloads a catalogue model's missing files: asks the hub for sizes and hashes, checks the disk space, then fetches one
// file after the other. Files that are already there, in our folder or in another program's cache, stay as they are.
import { existsSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { sweepTemporary } from '../shared/temporary-files.js';
import { type CatalogEntry, findEntry, type HubFile, modelKeys, POCKET } from './catalog.js';
import { type DownloadProgress, downloadFile, SEGMENT_BYTES } from './download.js';
import { describeHubFile, type HubFileInfo, readHubAccess } from './hub.js';
import { locateHubFile, ownPathOf } from './locate.js';
import { countArrived } from './partial-file.js';
import { readMark, writeMark } from './pull-mark.js';
import { listFiles, type NamedFile } from './resolve-model.js';
import type { RetryOptions } from './retry.js';

export interface PullProgress extends DownloadProgress {
  /** Name of the file, without folders. */
  file: string;
  /** Number of the file among those to download, from 1. */
  index: number;
  /** How many files there are to download. */
  files: number;
}

export interface PulledFile extends HubFile {
  what: string;
  /** Where it is on this disk. */
  file: string;
  bytes: number;
  downloaded: boolean;
}

export interface PullOptions extends RetryOptions {
  /** Only these parts of the model: 'vae', 't5xxl' … Default: all. */
  parts?: readonly string[];
  onProgress?: ((progress: PullProgress) => void) | undefined;
  /** Milliseconds without a byte after which a connection counts as broken. */
  stallMs?: number;
  connections?: number;
  segmentBytes?: number;
}

/**
 * The entry of a model that a user wants to pull or remove.
 * @throws ImageForgeError INVALID_ARGUMENT for the package's own model, MODEL_NOT_FOUND.
 */
export function requireEntry(name: string): CatalogEntry {
  const entry = findEntry(name);
  if (entry) return entry;
  if (name.toLowerCase() === POCKET)
    throw new ImageForgeError('INVALID_ARGUMENT', `'${POCKET}' is part of the package: it is always there.`);
  throw new ImageForgeError('MODEL_NOT_FOUND', `There is no model '${name}' in the catalogue.`, {
    hint: `Name one of ${modelKeys.filter((key) => key !== POCKET).join(', ')}.`,
    details: { model: name },
  });
}

/**
 * Returns every file of the model, or of the parts that were asked for, in the catalogue's order.
 * @throws ImageForgeError INVALID_ARGUMENT for a part that the model doesn't have, UNAUTHORIZED, FORBIDDEN,
 *   DOWNLOAD_FAILED, NO_SPACE, OUTPUT_UNWRITABLE, BUSY, ABORTED.
 */
export async function pullModel(
  entry: CatalogEntry,
  config: Config,
  options: PullOptions = {},
): Promise<PulledFile[]> {
  const { signal, onProgress, stallMs, segmentBytes = SEGMENT_BYTES } = options;
  const access = { ...readHubAccess(config), ...(stallMs !== undefined && { stallMs }) };
  const wanted = chooseFiles(entry, options.parts);
  const folders = new Set(wanted.map(({ file }) => path.dirname(ownPathOf(file, config))));
  for (const folder of folders) await sweepTemporary(folder);
  const missing = wanted.filter(({ file }) => locateHubFile(file, config) === undefined);
  const infos = await whileNotAborted(signal, () =>
    Promise.all(missing.map(({ file }) => describeHubFile(file, access, options))),
  );
  await requireSpace(infos, config, segmentBytes);
  for (const [index, info] of infos.entries()) {
    const target = ownPathOf(info, config);
    await claim(target, info, entry.key);
    await downloadFile(info, target, {
      ...options,
      access,
      onProgress: (progress) =>
        onProgress?.({
          ...progress,
          file: path.basename(target),
          index: index + 1,
          files: infos.length,
        }),
    });
  }
  return Promise.all(wanted.map((named) => describePulled(named, entry, infos, config)));
}

function chooseFiles(entry: CatalogEntry, parts: readonly string[] | undefined): NamedFile[] {
  const files = listFiles(entry);
  if (!parts) return files;
  const known = files.map(({ what }) => what);
  const strange = parts.find((part) => !known.includes(part));
  if (strange !== undefined) {
    throw new ImageForgeError('INVALID_ARGUMENT', `'${entry.key}' has no part '${strange}'.`, {
      hint: `Its parts are ${[...new Set(known)].join(', ')}.`,
      details: { model: entry.key, part: strange },
    });
  }
  return files.filter(({ what }) => parts.includes(what));
}

/** Describes a file, and marks one that an earlier pull brought for another model as used by this one too. */
async function describePulled(
  { what, file }: NamedFile,
  { key }: CatalogEntry,
  infos: readonly HubFileInfo[],
  config: Config,
): Promise<PulledFile> {
  const found = locateHubFile(file, config)!;
  const info = infos.find(({ repo, path: name }) => repo === file.repo && name === file.path);
  const mark = readMark(found);
  if (mark) await claim(found, mark, key);
  return { what, ...file, file: found, bytes: statSync(found).size, downloaded: info !== undefined };
}

async function claim(
  target: string,
  { repo, path: name, size, sha256 }: HubFile & { size: number; sha256: string },
  key: string,
): Promise<void> {
  const models = readMark(target)?.models ?? [];
  if (!models.includes(key))
    await writeMark(target, { repo, path: name, size, sha256, models: [...models, key] });
}

async function requireSpace(
  infos: readonly HubFileInfo[],
  config: Config,
  segmentBytes: number,
): Promise<void> {
  const needed = infos.reduce(
    (sum, info) => sum + info.size - countArrived(ownPathOf(info, config), info, segmentBytes),
    0,
  );
  if (needed === 0) return;
  const { modelDir } = config;
  const { bavail, bsize } = await statfs(firstExisting(modelDir));
  const free = bavail * bsize;
  if (needed <= free) return;
  const format = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new ImageForgeError(
    'NO_SPACE',
    `${format(needed)} are to be downloaded to ${modelDir}, ${format(free)} are free there.`,
    {
      hint: 'Free some space, or set IMAGEFORGE_MODEL_DIR to a folder that has more.',
      details: { folder: modelDir, needed, free },
    },
  );
}

function firstExisting(folder: string): string {
  const parent = path.dirname(folder);
  return existsSync(folder) || parent === folder ? folder : firstExisting(parent);
}

async function whileNotAborted<T>(signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!signal?.aborted) throw error;
    throw new ImageForgeError('ABORTED', 'The download was cancelled.', { cause: error });
  }
}
