// Files that appear under their name whole or not at all: they are written under a temporary name beside it first. The
// temporary name says which process made it, so that what a killed process left can be swept away.
import { randomBytes } from 'node:crypto';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { hostLabel, isOlderThanThisProcess, isProcessAlive } from './processes.js';

/** .imageforge-HOST.PID.RANDOM.tmp */
const NAME = /^\.imageforge-(.+)\.(\d+)\.[0-9a-f]{12}\.tmp$/;

/** A name in `folder` that nothing else has. */
export function nameTemporary(folder: string): string {
  const random = randomBytes(6).toString('hex');
  return path.join(folder, `.imageforge-${hostLabel()}.${process.pid}.${random}.tmp`);
}

/** Writes `data` under a temporary name and makes sure that it is on the disk. What fails leaves no file. */
export async function writeTemporary(folder: string, data: Uint8Array): Promise<string> {
  const file = nameTemporary(folder);
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'wx');
    await handle.writeFile(data);
    await handle.sync();
    await handle.close();
    return file;
  } catch (error) {
    await handle?.close().catch(() => undefined);
    await rm(file, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Replaces `file`, or makes it, at once. */
export async function writeWhole(file: string, data: Uint8Array): Promise<void> {
  const temporary = await writeTemporary(path.dirname(file), data);
  try {
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Gives a temporary file its final name unless something has that name already: then it returns false, and the
 * temporary file stays.
 */
export async function placeNew(temporary: string, final: string): Promise<boolean> {
  // a hard link is the atomic "rename unless it exists"
  try {
    await link(temporary, final);
    await rm(temporary, { force: true });
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!WITHOUT_LINKS.has(code ?? '')) throw error;
  }
  // file systems without links reserve the name first
  try {
    await (await open(final, 'wx')).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  await rename(temporary, final);
  return true;
}

const WITHOUT_LINKS = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EOPNOTSUPP', 'EINVAL']);

/**
 * Removes the temporary files in `folder` whose process is dead, and returns their names. Those of living processes and
 * of other machines stay. A folder that is missing or closed to us is passed over: sweeping never fails what follows.
 */
export async function sweepTemporary(folder: string): Promise<string[]> {
  const swept: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const file = path.join(folder, name);
    if (!(await isLeftBehind(file))) continue;
    try {
      await rm(file);
      swept.push(name);
    } catch {
      // another process swept it, or it belongs to another user
    }
  }
  return swept;
}

async function isLeftBehind(file: string): Promise<boolean> {
  const [, host, id] = NAME.exec(path.basename(file)) ?? [];
  if (host !== hostLabel()) return false;
  const pid = Number(id);
  if (pid !== process.pid) return !isProcessAlive(pid);
  // in a container every start may have the same id
  const info = await stat(file).catch(() => undefined);
  return info !== undefined && isOlderThanThisProcess(info.mtimeMs);
}

/** Makes a folder and its parents. Node's own recursive mkdir never ends where a folder takes no new ones (/proc). */
export async function makeFolder(folder: string): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (info?.isDirectory()) return;
  if (info) throw Object.assign(new Error(`${folder} is a file`), { code: 'ENOTDIR' });
  const parent = path.dirname(folder);
  if (parent !== folder) await makeFolder(parent);
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}
