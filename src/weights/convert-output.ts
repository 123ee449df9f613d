// Where a conversion writes to: what is refused before it starts, and what a failure while writing means.
import { stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { ImageForgeError } from '../shared/errors.js';

/** `sources` are the files that are converted; `bytes` is what the output needs. */
export async function requireOutput(
  output: string,
  sources: readonly string[],
  bytes: number,
  force: boolean,
): Promise<void> {
  const folder = path.dirname(path.resolve(output));
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
    if (bavail * bsize < bytes) throw full(output, `${bytes} bytes are needed, ${bavail * bsize} are free`);
  } catch (error) {
    throw explain(error, output);
  }
}

/** The typed error of what went wrong while writing. */
export function explain(error: unknown, output: string): Error {
  if (error instanceof ImageForgeError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return ImageForgeError.from(error);
  if (code === 'EEXIST') return exists(output);
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)) return full(output, `the system says ${code}`);
  return new ImageForgeError('OUTPUT_UNWRITABLE', `${output} can't be written: ${message}`, {
    hint: 'Choose a folder that exists and that you may write to.',
    details: { file: output, code },
    cause: error,
  });
}

function exists(output: string): ImageForgeError {
  return new ImageForgeError('OUTPUT_UNWRITABLE', `${output} is there already`, {
    hint: 'Choose another name, or replace it with --force.',
    details: { file: output },
  });
}

function full(output: string, why: string): ImageForgeError {
  return new ImageForgeError('NO_SPACE', `${output} can't be written: ${why}`, {
    hint: 'Free some space, or choose another disk.',
    details: { file: output },
  });
}
