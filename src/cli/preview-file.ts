// generate --preview FILE: keeps a file up to date with the picture while it is made, for an image viewer that reloads it.
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Progress } from '../service/image-service.js';
import { encodePng, makePreview } from '../service/pictures/codec.js';
import { explain } from '../service/pictures/outputs.js';
import { ImageForgeError } from '../shared/errors.js';
import { makeFolder, writeTemporary } from '../shared/temporary-files.js';

const SIDE = 1024;
const BYTES = 2 ** 20;

export class PreviewFile {
  readonly #file: string;
  #writing: Promise<void> | undefined;
  #failure: ImageForgeError | undefined;

  /** @throws ImageForgeError INVALID_ARGUMENT unless the name ends in .png, .jpg or .jpeg. */
  constructor(file: string) {
    if (!/\.(png|jpe?g)$/i.test(file)) {
      throw new ImageForgeError(
        'INVALID_ARGUMENT',
        `--preview: expected a name that ends in .png or .jpg, found ${file}`,
      );
    }
    this.#file = path.resolve(file);
  }

  /** Replaces the file atomically. Skips a preview that arrives while the last one is being written. */
  show(preview: NonNullable<Progress['preview']>): void {
    this.#writing ??= this.#write(preview)
      .catch((error) => {
        this.#failure ??= explain(error, path.dirname(this.#file));
      })
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Waits for the last write. Returns why writing failed, if it did; the picture itself is not affected. */
  async end(): Promise<ImageForgeError | undefined> {
    await this.#writing;
    return this.#failure;
  }

  async #write(preview: NonNullable<Progress['preview']>): Promise<void> {
    const data = /png$/i.test(this.#file)
      ? await encodePng(preview)
      : (await makePreview(preview, { side: SIDE, bytes: BYTES })).data;
    const folder = path.dirname(this.#file);
    await makeFolder(folder);
    const temporary = await writeTemporary(folder, data);
    try {
      await rename(temporary, this.#file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}
