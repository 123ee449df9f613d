// What the library gives back: pictures that know their seed and how to become a file.
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Pixels } from '../native/addon.js';
import type { Phase } from '../pipeline/types.js';
import { encodePng } from '../service/pictures/codec.js';
import { explain, writeTemporary } from '../service/pictures/outputs.js';

export class Picture implements Pixels {
  /** 8-bit RGB, rows from the top, no padding: width * height * 3 bytes. */
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;

  constructor({ rgb, width, height }: Pixels) {
    this.rgb = rgb;
    this.width = width;
    this.height = height;
  }

  /** The picture as a PNG file's bytes. */
  toPNG(): Promise<Buffer> {
    return encodePng(this);
  }

  /**
   * Writes the picture as a PNG file, whole or not at all; a file of that name is replaced.
   * @throws ImageForgeError OUTPUT_UNWRITABLE or NO_SPACE.
   */
  async save(file: string): Promise<void> {
    const folder = path.dirname(path.resolve(file));
    let temporary: string | undefined;
    try {
      temporary = await writeTemporary(folder, await this.toPNG());
      await rename(temporary, file);
    } catch (error) {
      if (temporary) await rm(temporary, { force: true });
      throw explain(error, folder);
    }
  }
}

export class GeneratedImage extends Picture {
  /** The seed that makes this picture alone. */
  readonly seed: number;

  constructor(pixels: Pixels, seed: number) {
    super(pixels);
    this.seed = seed;
  }
}

export interface GenerationResult {
  /** One picture for each of the batch. */
  images: GeneratedImage[];
  /** The first picture. */
  image: GeneratedImage;
  /** Seconds by phase. */
  seconds: Record<Phase, number>;
  /** Family of the model: 'sd1', 'sdxl', … */
  family: string;
  /** For people: what of the request had no effect, and why. */
  notes: string[];
  /** What was left open, as it was filled in. */
  settings: {
    width: number;
    height: number;
    steps: number;
    guidance: number;
    sampler: string;
    schedule: string;
  };
}
