// FILE.pulled.json stands beside each file that `models pull` made and names the models that it was pulled for. `models
// rm` removes only files that have one.
import { readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { writeWhole } from '../shared/temporary-files.js';
import { explainFailure } from './partial-file.js';

export interface PullMark {
  repo: string;
  path: string;
  size: number;
  sha256: string;
  /** Keys of the models. */
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
  await explainFailure(target, async () => {
    await mkdir(path.dirname(target), { recursive: true });
    await writeWhole(nameOf(target), Buffer.from(`${JSON.stringify(mark, null, 2)}\n`));
  });
}

export async function removeMark(target: string): Promise<void> {
  await rm(nameOf(target), { force: true });
}
