// FILE.pulled.json beside each file that `models pull` made, with the models it was pulled for: what `models rm` may
// remove.
import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { explainFailure } from './partial-file.js';

export interface PullMark {
  repo: string;
  path: string;
  size: number;
  sha256: string;
  /** Keys. */
  models: string[];
}

const nameOf = (target: string) => `${target}.pulled.json`;

export function readMark(target: string): PullMark | undefined {
  try {
    const mark = JSON.parse(readFileSync(nameOf(target), 'utf8')) as PullMark;
    return Array.isArray(mark.models) && Number.isSafeInteger(mark.size) ? mark : undefined;
  } catch {
    return undefined;
  }
}

export async function writeMark(target: string, mark: PullMark): Promise<void> {
  const name = nameOf(target);
  await explainFailure(target, async () => {
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(`${name}.new`, `${JSON.stringify(mark, null, 2)}\n`);
    await rename(`${name}.new`, name);
  });
}

export async function removeMark(target: string): Promise<void> {
  await rm(nameOf(target), { force: true });
}
