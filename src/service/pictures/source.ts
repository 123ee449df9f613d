// Where a picture comes from: a file on this machine, or bytes that the request carries.
import { readFile, stat } from 'node:fs/promises';
import { ImageForgeError } from '../../shared/errors.js';

/** A picture in a file, or its encoded bytes. */
export type PictureSource = { path: string } | { bytes: Uint8Array };

const MAX_FILE_BYTES = 2 ** 27;

/** The encoded bytes of a source. `name` is the request's field, for messages. */
export async function readSource(source: PictureSource, name: string): Promise<Uint8Array> {
  if ('bytes' in source) return source.bytes;
  try {
    const { size } = await stat(source.path);
    if (size > MAX_FILE_BYTES) {
      throw new ImageForgeError(
        'TOO_LARGE',
        `${name}: ${source.path} has ${size} bytes, at most ${MAX_FILE_BYTES} are read.`,
      );
    }
    return await readFile(source.path);
  } catch (error) {
    if (error instanceof ImageForgeError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : (code ?? message);
    throw new ImageForgeError('NOT_FOUND', `${name}: cannot read ${source.path}: ${reason}.`, {
      details: { field: name, file: source.path },
      cause: error,
    });
  }
}

/** @throws ImageForgeError INVALID_ARGUMENT for a text that is not base64. `name` is the request's field. */
export function decodeBase64(encoded: string, name: string): PictureSource {
  const text = encoded.replace(/^data:image\/[\w.+-]+;base64,/, '');
  const bytes = Buffer.from(text, 'base64');
  // The decoder drops what is not base64. Where nothing was dropped, tens of megabytes need no second look.
  const length = text.length - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0);
  if (length > 0 && length % 4 !== 1 && bytes.length === Math.floor((length * 3) / 4)) return { bytes };
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text.replace(/\s+/g, '')))
    throw new ImageForgeError('INVALID_ARGUMENT', `${name}: expected base64, found other characters`);
  return { bytes };
}
