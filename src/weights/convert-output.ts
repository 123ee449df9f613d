// Where a conversion writes to: what is refused before it starts, and what a failure while writing means.
import { stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { explainWriteError, fileErrorCode } from '../shared/file-errors.js';
import { sweepTemporary } from '../shared/temporary-files.js';

/** `sources` are the files that are converted; `bytes` is what the output needs. */
export async function requireOutput(
  output: string,
  sources: readonly string[],
  bytes: number,
  force: boolean,
): Promise<void> {
  const folder = path.dirname(path.resolve(output));
  await sweepTemporary(folder);
  try {
    const found = await stat(output).catch(() => undefined);
    if (found && !found.isFile())
      throw new ImageForgeError('OUTPUT_UNWRITABLE', `${output} is not a file; a name for one was expected`);
    for (const file of found ? sources : []) {
      const { dev, ino } = await stat(file);
      if (found && dev === found.dev && ino === found.ino)
        throw new ImageForgeError(
          'INVALID_ARGUMENT',
          `${output} is the file to convert; expected another name`,
        );
    }
    if (found && !force) throw exists(output);
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < bytes) throw full(output, bytes, bavail * bsize);
  } catch (error) {
    throw explain(error, output);
  }
}

const HINTS = {
  full: 'Free some space, or choose another disk.',
  unwritable: 'Choose a folder that exists and that you may write to.',
};

/** The typed error of what went wrong while writing. */
export function explain(error: unknown, output: string): Error {
  if (fileErrorCode(error) === 'EEXIST') return exists(output);
  return explainWriteError(error, { file: output }, HINTS);
}

function exists(output: string): ImageForgeError {
  return new ImageForgeError('OUTPUT_UNWRITABLE', `${output} is there already`, {
    hint: 'Choose another name, or replace it with --force.',
    details: { file: output },
  });
}

function full(output: string, needed: number, free: number): ImageForgeError {
  return new ImageForgeError(
    'NO_SPACE',
    `Cannot write to ${output}: ${needed} bytes are needed, ${free} are free.`,
    { hint: HINTS.full, details: { file: output, needed, free } },
  );
}
