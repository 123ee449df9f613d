// Who owns a file that a process may leave behind: a host and a process id, as they stand in file names and locks.
import { hostname } from 'node:os';

/** This machine's name in letters that every file system takes. */
export function hostLabel(): string {
  return hostname().replace(/[^\w.-]/g, '_') || 'localhost';
}

/**
 * Whether a process of this id runs on this machine. A process that was given a dead one's id counts as the dead one:
 * what that left behind stays, which is better than taking from a living process.
 */
export function isProcessAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, but belongs to someone else
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether a file of this age was there before this process: then an earlier process of the same id made it. */
export function isOlderThanThisProcess(modifiedMs: number): boolean {
  return modifiedMs < Date.now() - process.uptime() * 1000;
}
