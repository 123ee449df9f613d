// Loads the native addon: the one compiled here or a prebuilt one. Where there is none, the error says what to do.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ImageForgeError } from '../shared/errors.js';
import type { Addon } from './addon.js';

const require = createRequire(import.meta.url);
/** The package's folder, for src/native and for dist/native alike. */
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

let loaded: Addon | undefined;

/** The addon, loaded once; throws ADDON_MISSING when there is none for this platform or it doesn't load. */
export function loadAddon(): Addon {
  loaded ??= load();
  return loaded;
}

function load(): Addon {
  const { path: locate } = require('node-gyp-build') as { path: (folder: string) => string };
  let file: string;
  try {
    // build/Release first, then prebuilds/<platform>-<arch>.
    file = locate(root);
  } catch (error) {
    throw missing(`The native addon is not built for ${process.platform}-${process.arch}.`, error);
  }
  try {
    return require(file) as Addon;
  } catch (error) {
    throw missing(`The native addon ${file} does not load: ${(error as Error).message}`, error);
  }
}

function missing(message: string, cause: unknown): ImageForgeError {
  return new ImageForgeError('ADDON_MISSING', message, {
    hint: 'Build it with "npm rebuild imageforge", or in a clone with "npm run build:native".',
    details: { root },
    cause,
  });
}
