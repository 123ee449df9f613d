// Errors of the file system in words, and as errors of this project.
import { ImageForgeError } from './errors.js';

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'access is denied',
  EPERM: 'access is denied',
  EROFS: 'the file system is read-only',
  ENAMETOOLONG: 'the name is too long',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  EIO: 'the disk reports an error',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  EFBIG: 'a limit on the size of files is reached',
};

/** There is no room for more bytes, for one reason or another. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** "ENOENT" and the like; undefined for an error that is not the file system's. */
export function fileErrorCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' && /^E[A-Z\d]+$/.test(code) ? code : undefined;
}

/** Why a file or folder cannot be used, for the end of a sentence: "there is no such file". */
export function describeFileError(error: unknown): string {
  const code = fileErrorCode(error);
  if (code !== undefined) return WORDS[code] ?? code;
  return error instanceof Error ? error.message : String(error);
}

export interface WriteHints {
  /** What to do when there is no room. */
  full: string;
  /** What to do when writing is not possible at all. */
  unwritable: string;
}

/**
 * NO_SPACE or OUTPUT_UNWRITABLE for what the file system said when `place` was written. An ImageForgeError comes back
 * as it is, and what is no error of the file system is INTERNAL.
 */
export function explainWriteError(
  error: unknown,
  place: { folder: string } | { file: string },
  hints: WriteHints,
): ImageForgeError {
  const code = fileErrorCode(error);
  if (code === undefined) return ImageForgeError.from(error);
  const where = 'folder' in place ? place.folder : place.file;
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
  const reason = isMissing ? 'there is no such folder' : describeFileError(error);
  const isFull = FULL.has(code);
  return new ImageForgeError(
    isFull ? 'NO_SPACE' : 'OUTPUT_UNWRITABLE',
    `Cannot write to ${where}: ${reason}.`,
    {
      hint: isFull ? hints.full : hints.unwritable,
      details: { ...place, code },
      cause: error,
    },
  );
}
