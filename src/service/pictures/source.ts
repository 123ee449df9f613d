// Picture sources: a file on this machine, or bytes in the request.
import { readFile, stat } from 'node:fs/promises';
import { ImageForgeError } from '../../shared/errors.js';
import { describeFileError } from '../../shared/file-errors.js';

/** A picture in a file, or its encoded bytes. */
export type PictureSource = { path: string } | { bytes: Uint8Array };

const MAX_FILE_BYTES = 2 ** 27;

/** Reads the encoded bytes of a source. `name` is the request's field, for messages. */
export async function readSource(source: PictureSource, name: string): Promise<Uint8Array> {
  if ('bytes' in source) return source.bytes;
  try {
    const { size } = await stat(source.path);
    if (size > MAX_FILE_BYTES) {
      throw new ImageForgeError(
        'TOO_LARGE',
        `${name}: ${source.path} has ${size} bytes, more than the limit of ${MAX_FILE_BYTES}.`,
      );
    }
    return await readFile(source.path);
  } catch (error) {
    if (error instanceof ImageForgeError) throw error;
    const reason = describeFileError(error);
    throw new ImageForgeError('NOT_FOUND', `${name}: cannot read ${source.path}: ${reason}.`, {
      details: { field: name, file: source.path },
      cause: error,
    });
  }
}

/** Decodes base64 or a data URL; `name` is the request's field. @throws ImageForgeError INVALID_ARGUMENT for other text. */
export function decodeBase64(encoded: string, name: string): PictureSource {
  const text = encoded.replace(/^data:image\/[\w.+-]+;base64,/, '');
  const bytes = Buffer.from(text, 'base64');
  // The decoder drops what is not base64. If it dropped nothing, the text (up to tens of megabytes) needs no second check.
  const length = text.length - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0);
  if (length > 0 && length % 4 !== 1 && bytes.length === Math.floor((length * 3) / 4)) return { bytes };
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text.replace(/\s+/g, '')))
    throw new ImageForgeError('INVALID_ARGUMENT', `${name}: expected base64, found other characters`);
  return { bytes };
}
