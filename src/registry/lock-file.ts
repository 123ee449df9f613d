// A lock that one process at a time holds, as a file with its owner's process id, host and a random word. A lock whose
// owner has died is taken over, by one of those who try.
//
// The takeover never deletes the dead owner's lock, since a slow contender might delete its successor's. Instead:
//
// 1. A contender reads LOCK, finds its owner dead, and claims the succession: it makes LOCK.HASH, where HASH stands for
//    the text of the dead owner. Only one can make that file. If there is a claim and its owner is dead too, the next one
//    claims the succession of that claim, and so on.
// 2. The owner of the last claim reads LOCK again. As long as the text is the one it started from, no claim has been
//    removed, so nobody else has the succession. It replaces LOCK by a rename.
// 3. If the text has changed, somebody else was faster: the claim is withdrawn, and everything starts again. Texts do
//    not come back, because they are random.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { isOlderThanThisProcess, isProcessAlive } from '../shared/processes.js';
import { placeNew, writeTemporary, writeWhole } from '../shared/temporary-files.js';

/** How often a contender starts again when locks come and go under its eyes. */
const MAX_TRIES = 100;

/** Texts of the locks that this process holds, or is about to. */
const held = new Set<string>();

interface Owner {
  /** What the lock file says. */
  text: string;
  /** For people: "1234 on host". */
  name: string;
  isAlive: boolean;
}

/**
 * Takes the lock, and returns how to give it back.
 * @throws ImageForgeError BUSY while a living process holds it, or one of another machine.
 */
export async function acquireLock(file: string): Promise<() => Promise<void>> {
  const text = `${process.pid} ${hostname()} ${randomBytes(8).toString('hex')}`;
  held.add(text);
  try {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const owner = readOwner(file);
      if (!(await (owner ? takeOver(file, owner, text) : create(file, text)))) continue;
      await removeClaims(file);
      return () => release(file, text);
    }
    throw busy(file, undefined);
  } catch (error) {
    held.delete(text);
    throw error;
  }
}

/** Whether a living process holds the lock, or one of another machine. */
export function isLockHeld(file: string): boolean {
  return readOwner(file)?.isAlive ?? false;
}

/** Follows the claims on a dead owner's lock. false when the lock changed meanwhile: try again. */
async function takeOver(file: string, dead: Owner, text: string): Promise<boolean> {
  let last: Owner | undefined = dead;
  while (last) {
    if (last.isAlive) throw busy(file, last);
    const claim = claimOf(file, last);
    if (await create(claim, text)) {
      if (readOwner(file)?.text === dead.text) {
        await writeWhole(file, Buffer.from(text));
        return true;
      }
      await rm(claim, { force: true });
      return false;
    }
    last = readOwner(claim);
  }
  return false;
}

/** false when there is such a file. */
async function create(file: string, text: string): Promise<boolean> {
  const temporary = await writeTemporary(path.dirname(file), Buffer.from(text));
  if (await placeNew(temporary, file)) return true;
  await rm(temporary, { force: true });
  return false;
}

async function release(file: string, text: string): Promise<void> {
  // people may delete a lock, and another process may have it since
  if (readOwner(file)?.text === text) await rm(file, { force: true });
  held.delete(text);
}

function claimOf(file: string, { text }: Owner): string {
  return `${file}.${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

/** Once the lock has a new owner, all claims on it have failed. */
async function removeClaims(file: string): Promise<void> {
  const folder = path.dirname(file);
  const start = `${path.basename(file)}.`;
  for (const name of await readdir(folder))
    if (name.startsWith(start)) await rm(path.join(folder, name), { force: true });
}

/** undefined when there is no such file. */
function readOwner(file: string): Owner | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    const [id, host] = text.split(' ');
    return { text, name: `${id} on ${host}`, isAlive: isOwnerAlive(file, text, Number(id), host) };
  } catch {
    return undefined;
  }
}

function isOwnerAlive(file: string, text: string, pid: number, host: string | undefined): boolean {
  if (host !== hostname()) return true;
  if (pid !== process.pid) return isProcessAlive(pid);
  // an earlier process may have had the same id, or another thread of this one may hold it
  return held.has(text) || !isOlderThanThisProcess(statSync(file).mtimeMs);
}

function busy(file: string, owner: Owner | undefined): ImageForgeError {
  return new ImageForgeError('BUSY', `Process ${owner?.name ?? '?'} is downloading the same file.`, {
    hint: `Wait for it. If there is no such process, delete ${file}.`,
    details: { file },
  });
}
