// Caches pictures under a key made from everything that shapes their pixels. Each picture has one PNG and one JSON file
// under CACHE_DIR. The least recently used go when there are too many bytes. A damaged or missing entry is a miss.
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import type { PipelineRequest } from '../../pipeline/types.js';
import { type Logger, silentLogger } from '../../shared/log.js';
import type { Seed } from '../../shared/seed.js';
import { makeFolder, sweepTemporary, writeWhole } from '../../shared/temporary-files.js';

/** Raise this when the program starts to draw different pixels for the same request. */
const PIXELS_VERSION = 2;

/** Facts without a picture are removed after this long: no process takes longer to write the picture after its facts. */
const ORPHAN_MS = 60_000;

export interface CachedPicture {
  png: Buffer;
  /** What the sidecar needs besides the request. */
  facts: { family: string; elapsedSeconds: number; notes?: string[] };
}

export interface CacheOptions {
  folder: string;
  /** 0 turns the cache off. */
  maxBytes: number;
  logger?: Logger;
}

export class PictureCache {
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #logger: Logger;
  /** Bytes that may be added before the folder is measured again. It is measured since other processes add to it too. */
  #allowance = 0;

  constructor({ folder, maxBytes, logger = silentLogger }: CacheOptions) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
    this.#logger = logger;
  }

  async get(key: string): Promise<CachedPicture | undefined> {
    if (this.#maxBytes === 0) return undefined;
    const { image, facts } = this.#pathsOf(key);
    try {
      const [png, text] = await Promise.all([readFile(image), readFile(facts, 'utf8')]);
      const { sha256, ...rest } = JSON.parse(text) as CachedPicture['facts'] & { sha256: string };
      if (hash(png) !== sha256) throw new Error('its picture is damaged');
      const now = new Date();
      await utimes(image, now, now);
      return { png, facts: rest };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#logger.warn({ key, error }, 'cache entry ignored');
      return undefined;
    }
  }

  /** Never fails a generation: if the cache cannot be written, that is only logged. */
  async put(key: string, { png, facts }: CachedPicture): Promise<void> {
    if (this.#maxBytes === 0 || png.length > this.#maxBytes) return;
    const target = this.#pathsOf(key);
    try {
      await makeFolder(this.#folder);
      await writeWhole(target.facts, Buffer.from(JSON.stringify({ ...facts, sha256: hash(png) })));
      await writeWhole(target.image, png);
      this.#allowance -= png.length;
      if (this.#allowance < 0) await this.#trim();
    } catch (error) {
      this.#logger.warn({ key, error }, 'cache entry not stored');
    }
  }

  /** Also removes leftovers of killed processes: unfinished files, and facts without a picture. */
  async #trim(): Promise<void> {
    await sweepTemporary(this.#folder);
    const all = await readdir(this.#folder);
    const names = all.filter((name) => /^[0-9a-f]{64}\.png$/.test(name));
    await this.#removeOrphans(all, new Set(names));
    const entries = await Promise.all(
      names.map(async (name) => {
        const file = path.join(this.#folder, name);
        const info = await stat(file).catch(() => undefined);
        return { name, bytes: info?.size ?? 0, used: info?.mtimeMs ?? 0 };
      }),
    );
    let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { name, bytes } of entries.sort((a, b) => a.used - b.used)) {
      if (total <= this.#maxBytes) break;
      const { image, facts } = this.#pathsOf(name.slice(0, -4));
      await Promise.all([rm(image, { force: true }), rm(facts, { force: true })]);
      total -= bytes;
    }
    this.#allowance = Math.min(this.#maxBytes - total, this.#maxBytes / 16);
  }

  /** Spares facts of the last minute: they are written before their picture, which may still come. */
  async #removeOrphans(all: string[], pictures: ReadonlySet<string>): Promise<void> {
    for (const name of all) {
      if (!/^[0-9a-f]{64}\.json$/.test(name) || pictures.has(name.replace(/json$/, 'png'))) continue;
      const file = path.join(this.#folder, name);
      const age = Date.now() - ((await stat(file).catch(() => undefined))?.mtimeMs ?? Date.now());
      if (age > ORPHAN_MS) await rm(file, { force: true });
    }
  }

  #pathsOf(key: string): { image: string; facts: string } {
    return { image: path.join(this.#folder, `${key}.png`), facts: path.join(this.#folder, `${key}.json`) };
  }
}

/**
 * The key of one picture of the batch, by its seed. `weights.identities` come from `identifyFile`, and include those of LoRAs
 * and embeddings.
 */
export function cacheKey(
  request: PipelineRequest,
  seed: Seed,
  weights: { identities: string[]; device: string },
): string {
  const {
    init,
    mask,
    model: _files,
    loras,
    embeddings,
    batch: _batch,
    previewEvery: _preview,
    seed: _first,
    memoryMode: _memory,
    references,
    tiny,
    control,
    ...rest
  } = request;
  const shape = {
    version: PIXELS_VERSION,
    ...rest,
    seed,
    ...(tiny?.final && { tiny: true }),
    strength: init ? request.strength : null,
    init: init ? [init.width, init.height, hash(init.rgb)] : null,
    mask: mask ? hash(mask) : null,
    ...(references && {
      references: references.map(({ width, height, rgb }) => [width, height, hash(rgb)]),
    }),
    ...(control && {
      control: [control.strength, control.start, control.end, hash(control.image.rgb)],
    }),
    loraStrengths: loras?.map(({ strength, textStrength = strength }) => [strength, textStrength]) ?? [],
    words: embeddings?.map(({ word }) => word) ?? [],
    ...weights,
  };
  return hash(JSON.stringify(Object.entries(shape).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function hash(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}
