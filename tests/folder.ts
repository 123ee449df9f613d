// Temporary folders that are removed when a test file has finished.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Makes a new folder. `name` says what it is for. */
export function makeFolder(name = 'test'): string {
  const folder = mkdtempSync(path.join(tmpdir(), `imageforge-${name}-`));
  folders.push(folder);
  return folder;
}
