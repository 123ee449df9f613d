// Reads a saved picture by its file name alone, as clients of the servers ask for it.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../../shared/config.js';
import { ImageForgeError } from '../../shared/errors.js';
import { confinePath } from './paths.js';

/** @throws ImageForgeError NOT_FOUND; FORBIDDEN for a link that leads out of the output folder. */
export async function readSavedPicture(
  name: string,
  config: Pick<Config, 'outputDir' | 'workingDir'>,
): Promise<Buffer> {
  const missing = () => new ImageForgeError('NOT_FOUND', 'There is no such image in the output folder.');
  if (!/^[^/\\.\0][^/\\\0]*\.png$/i.test(name)) throw missing();
  const file = confinePath(path.join(config.outputDir, name), [config.outputDir], config);
  return readFile(file).catch(() => {
    throw missing();
  });
}
