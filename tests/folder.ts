// Temporary folders that go when a test file is through.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A new folder; `name` says in the system's temporary folder what it is for. */
export function makeFolder(name = 'test'): string {
  const folder = mkdtempSync(path.join(tmpdir(), `imageforge-${name}-`));
  folders.push(folder);
  return folder;
}
