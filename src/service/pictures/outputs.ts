// Writes finished pictures: PNG and JSON sidecar appear together under a name of their own, whole or not at all.
import { lstat, rename, rm, statfs } from 'node:fs/promises';
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
  /** Name of the image, with or without .png; the next ones of a batch are name_2.png, name_3.png … */
  file?: string | undefined;
  /** What happens to files that have the names of `file`. Default: 'refuse', before anything is drawn. */
  existing?: 'refuse' | 'replace' | 'number';
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
  { folder = '.', file, existing, enabled }: OutputTarget,
  name: string,
  place = 0,
): Promise<SavedPicture<Metadata>> {
  if (enabled === false) return { png, path: null, sidecarPath: null, metadata };
  const asked = file === undefined ? undefined : nameFiles(file, place);
  const base = asked?.base ?? path.join(folder, name);
  const describe = (filename: string) => ({ ...metadata, filename });
  const { imagePath, sidecarPath } = await saveOutput(
    base,
    { image: png, describe },
    asked?.ending,
    existing,
  );
  return { png, path: imagePath, sidecarPath, metadata: describe(path.basename(imagePath)) };
}

/** The name that was asked for picture `place` of a batch, from 0. An ending in capitals stays as it is. */
function nameFiles(file: string, place: number): { base: string; ending: string } {
  const ending = /\.png$/i.exec(file)?.[0];
  const name = ending === undefined ? file : file.slice(0, -ending.length);
  return { base: place === 0 ? name : `${name}_${place + 1}`, ending: ending ?? '.png' };
}

/**
 * Refuses names that are taken before minutes are spent on pictures, unless they are to be replaced or numbered.
 * @throws ImageForgeError OUTPUT_UNWRITABLE that lists them.
 */
export async function requireFree(
  { file, existing = 'refuse', enabled }: OutputTarget,
  batch = 1,
): Promise<void> {
  if (file === undefined || enabled === false || existing === 'number') return;
  const names = Array.from({ length: batch }, (_, place) => nameFiles(file, place));
  const taken: string[] = [];
  for (const name of names.flatMap(({ base, ending }) => [`${base}${ending}`, `${base}.json`])) {
    const found = await lstat(name).catch(() => undefined);
    if (found?.isDirectory())
      throw new ImageForgeError('OUTPUT_UNWRITABLE', `${name} is a folder; a name for a file was expected.`);
    if (found) taken.push(name);
  }
  if (taken.length === 0 || existing === 'replace') return;
  throw new ImageForgeError(
    'OUTPUT_UNWRITABLE',
    `${taken.join(', ')} ${taken.length === 1 ? 'is' : 'are'} there already, and nothing was drawn.`,
    { hint: 'Choose another name with --output, or overwrite with --force.', details: { files: taken } },
  );
}

/** Says so if a picture did not get the name that was asked for. */
export function describeOtherNames(
  { file }: OutputTarget,
  pictures: readonly { path: string | null }[],
): string[] {
  if (file === undefined) return [];
  return pictures.flatMap(({ path: saved }, place) => {
    const { base, ending } = nameFiles(file, place);
    const asked = `${base}${ending}`;
    return saved === null || saved === asked
      ? []
      : [`${asked} or its JSON file exists; this picture is ${path.basename(saved)}.`];
  });
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

/** Removes what killed processes left in the folder; once per run of the program is enough. */
async function sweepOnce(folder: string): Promise<void> {
  if (swept.has(folder)) return;
  swept.add(folder);
  await sweepTemporary(folder);
}

/**
 * Writes `base`.png and `base`.json. When those exist, both are replaced if that was asked, each at once; otherwise the
 * names are `base`_2.png …, also for a file that appeared after requireFree.
 */
export async function saveOutput(
  base: string,
  files: OutputFiles,
  ending = '.png',
  existing: OutputTarget['existing'] = 'number',
): Promise<SavedFiles> {
  const folder = path.dirname(base);
  const temporary: string[] = [];
  try {
    temporary.push(await writeTemporary(folder, files.image));
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const name = attempt === 1 ? base : `${base}_${attempt}`;
      const saved: SavedFiles = { imagePath: `${name}${ending}`, sidecarPath: `${name}.json` };
      const sidecar = `${JSON.stringify(files.describe(path.basename(saved.imagePath)), null, 2)}\n`;
      temporary[1] = await writeTemporary(folder, Buffer.from(sidecar));
      const placed = temporary as [string, string];
      if (existing === 'replace') await replaceBoth(placed, saved);
      else if (!(await placeBoth(placed, saved))) {
        await rm(temporary[1], { force: true });
        continue;
      }
      return saved;
    }
    throw new ImageForgeError(
      'OUTPUT_UNWRITABLE',
      `${base}${ending} and ${MAX_ATTEMPTS} names after it exist.`,
    );
  } catch (error) {
    throw explain(error, folder);
  } finally {
    await Promise.all(temporary.map((file) => rm(file, { force: true })));
  }
}

/** Replaces the sidecar first, so that a picture lies beside another's facts only between two renames. */
async function replaceBoth([image, sidecar]: [string, string], saved: SavedFiles): Promise<void> {
  await rename(sidecar, saved.sidecarPath);
  await rename(image, saved.imagePath);
}

/** Returns false if one of the names is taken. */
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

/** Turns an error of writing to `folder` into one of this project. */
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
