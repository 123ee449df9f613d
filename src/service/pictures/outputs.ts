// Writes finished pictures: PNG and JSON sidecar appear together under a name of their own, whole or not at all.
import { rename, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { ImageForgeError } from '../../shared/errors.js';
import { explainWriteError } from '../../shared/file-errors.js';
import { makeFolder, placeNew, sweepTemporary, writeTemporary } from '../../shared/temporary-files.js';

export interface OutputFiles {
  /** Encoded PNG, given the name that it will have. */
  image: Uint8Array;
  /** The sidecar, given the name of its picture. */
  describe(filename: string): object;
}

export interface SavedFiles {
  imagePath: string;
  sidecarPath: string;
}

/** A picture in memory and, where it was saved, on disk. */
export interface SavedPicture<Metadata> {
  png: Buffer;
  /** null when it was not to be saved. */
  path: string | null;
  sidecarPath: string | null;
  metadata: Metadata;
}

/** Where a run's pictures go. */
export interface OutputTarget {
  /** Default: OUTPUT_DIR. */
  folder?: string | undefined;
  /** Exact name of the (first) image, with or without .png. */
  file?: string | undefined;
  /** false keeps the image in memory only. */
  enabled?: boolean;
}

export function chooseFolder({ file, folder }: OutputTarget, { outputDir }: { outputDir: string }): string {
  return file === undefined ? (folder ?? outputDir) : path.dirname(file);
}

/** Writes a picture and its sidecar, unless it is to stay in memory; `name` is its base name without ending. */
export async function savePicture<Metadata extends { filename: string }>(
  png: Buffer,
  metadata: Metadata,
  { folder = '.', file, enabled }: OutputTarget,
  name: string,
): Promise<SavedPicture<Metadata>> {
  if (enabled === false) return { png, path: null, sidecarPath: null, metadata };
  const base = file?.replace(/\.png$/i, '') ?? path.join(folder, name);
  const describe = (filename: string) => ({ ...metadata, filename });
  const { imagePath, sidecarPath } = await saveOutput(base, { image: png, describe });
  return { png, path: imagePath, sidecarPath, metadata: describe(path.basename(imagePath)) };
}

/** How many names are tried when files of the same second and seed exist. */
const MAX_ATTEMPTS = 1000;

/**
 * Makes the folder and proves that `bytes` can be written there, before minutes are spent on a picture.
 * @throws ImageForgeError OUTPUT_UNWRITABLE or NO_SPACE.
 */
export async function prepareFolder(folder: string, bytes: number): Promise<void> {
  try {
    await makeFolder(folder);
    await sweepOnce(folder);
    const probe = await writeTemporary(folder, Buffer.of(0));
    await rm(probe, { force: true });
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < bytes) throw noSpace(folder, bytes, bavail * bsize);
  } catch (error) {
    throw explain(error, folder);
  }
}

const swept = new Set<string>();

/** What killed processes left there goes; looking once is enough. */
async function sweepOnce(folder: string): Promise<void> {
  if (swept.has(folder)) return;
  swept.add(folder);
  await sweepTemporary(folder);
}

/** Writes `base`.png and `base`.json, or `base`_2.png … when those exist: nothing is ever overwritten. */
export async function saveOutput(base: string, files: OutputFiles): Promise<SavedFiles> {
  const folder = path.dirname(base);
  const temporary: string[] = [];
  try {
    temporary.push(await writeTemporary(folder, files.image));
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const name = attempt === 1 ? base : `${base}_${attempt}`;
      const saved: SavedFiles = { imagePath: `${name}.png`, sidecarPath: `${name}.json` };
      const sidecar = `${JSON.stringify(files.describe(path.basename(saved.imagePath)), null, 2)}\n`;
      temporary[1] = await writeTemporary(folder, Buffer.from(sidecar));
      if (await placeBoth(temporary as [string, string], saved)) return saved;
      await rm(temporary[1], { force: true });
    }
    throw new ImageForgeError('OUTPUT_UNWRITABLE', `${base}.png and ${MAX_ATTEMPTS} names after it exist.`);
  } catch (error) {
    throw explain(error, folder);
  } finally {
    await Promise.all(temporary.map((file) => rm(file, { force: true })));
  }
}

/** false when one of the names is taken. */
async function placeBoth([image, sidecar]: [string, string], saved: SavedFiles): Promise<boolean> {
  if (!(await placeNew(image, saved.imagePath))) return false;
  try {
    if (await placeNew(sidecar, saved.sidecarPath)) return true;
  } catch (error) {
    await rm(saved.imagePath, { force: true });
    throw error;
  }
  // the next name is tried with the same file
  await rename(saved.imagePath, image);
  return false;
}

const HINTS = {
  full: 'Free some space, or choose another folder with --output-dir or OUTPUT_DIR.',
  unwritable: 'Choose a folder that you may write to with --output-dir or OUTPUT_DIR.',
};

/** Whatever went wrong while `folder` was written, as an error of this project. */
export function explain(error: unknown, folder: string): ImageForgeError {
  return explainWriteError(error, { folder }, HINTS);
}

function noSpace(folder: string, needed: number, free: number): ImageForgeError {
  const kib = (bytes: number) => `${Math.ceil(bytes / 1024)} KiB`;
  return new ImageForgeError(
    'NO_SPACE',
    `Cannot write to ${folder}: ${kib(needed)} may be needed, ${kib(free)} are free.`,
    {
      hint: HINTS.full,
      details: { folder, needed, free },
    },
  );
}
