// Opens a weight file and reads its header, never its data.
import { type Stats, statSync } from 'node:fs';
import { ImageForgeError } from '../shared/errors.js';
import { ByteReader, unreadable } from './byte-reader.js';
import { readGguf } from './gguf.js';
import { recognise } from './recognise.js';
import { readSafetensors } from './safetensors.js';
import type { WeightFile } from './types.js';

/** Throws WEIGHTS_UNREADABLE (can't be opened), WEIGHTS_INVALID (damaged) or UNSUPPORTED (another format). */
export async function readWeightFile(path: string): Promise<WeightFile> {
  const stats = statFile(path);
  if (stats.isDirectory()) {
    throw new ImageForgeError(
      'WEIGHTS_UNREADABLE',
      `${path} is a folder; a GGUF or safetensors file was expected`,
      {
        details: { file: path },
      },
    );
  }
  if (!stats.isFile()) {
    throw new ImageForgeError('WEIGHTS_UNREADABLE', `${path} is not a regular file`, {
      details: { file: path },
    });
  }
  const reader = ByteReader.open(path, stats.size);
  try {
    if (recognise(reader) === 'safetensors') return readSafetensors(reader);
    reader.skip(4);
    return readGguf(reader);
  } finally {
    reader.close();
  }
}

function statFile(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}
