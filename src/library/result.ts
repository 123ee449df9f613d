// The library's results: pictures that know their seed and can be saved as files.
import path from 'node:path';
import type { Pixels } from '../native/addon.js';
import type { Phase } from '../pipeline/types.js';
import { encodePng } from '../service/pictures/codec.js';
import { explain } from '../service/pictures/outputs.js';
import { writeWhole } from '../shared/temporary-files.js';

/** A picture in memory, which can become a file. */
export class Picture implements Pixels {
  /** 8-bit RGB, rows from the top, no padding: width * height * 3 bytes. */
  readonly rgb: Uint8Array;
  /** Pixels in a row. */
  readonly width: number;
  /** Rows of pixels. */
  readonly height: number;

  /** Takes over the pixels; it doesn't copy them. */
  constructor({ rgb, width, height }: Pixels) {
    this.rgb = rgb;
    this.width = width;
    this.height = height;
  }

  /** The picture as the bytes of a PNG file. */
  toPNG(): Promise<Buffer> {
    return encodePng(this);
  }

  /**
   * Writes the picture as a PNG file, whole or not at all. A file of that name is replaced; the folder must be there.
   * @throws ImageForgeError with the code OUTPUT_UNWRITABLE or NO_SPACE.
   */
  async save(file: string): Promise<void> {
    const png = await this.toPNG();
    try {
      await writeWhole(path.resolve(file), png);
    } catch (error) {
      throw explain(error, path.dirname(path.resolve(file)));
    }
  }
}

/** An image that a run has made. */
export class GeneratedImage extends Picture {
  /**
   * The seed that makes this image by itself: that of the request plus its place in the batch. A number up to 2^53 - 1,
   * above that a string of digits.
   */
  readonly seed: number | string;

  /** @internal Made by a run. */
  constructor(pixels: Pixels, seed: number | string) {
    super(pixels);
    this.seed = seed;
  }
}

/** The prompts of one image, as the model read them. */
export interface ImagePrompts {
  /** What was to be drawn. */
  prompt: string;
  /** What was to be avoided. */
  negativePrompt: string;
}

/** What a run resolves to. */
export interface GenerationResult {
  /** The first image. */
  image: GeneratedImage;
  /** All images of the batch. */
  images: GeneratedImage[];
  /** For each image its prompts as the model read them, with styles and choices made and LoRA tags taken out. */
  prompts: readonly ImagePrompts[];
  /** Seconds that each phase took; 0 for a phase that didn't run. */
  seconds: Record<Phase, number>;
  /** Family of the model: 'sd1', 'sdxl', … */
  family: string;
  /** For people: which parts of the request had no effect, and why. */
  notes: string[];
  /** The settings of the run, with what the request left open filled in. */
  settings: GenerationSettings;
}

/** What a run was made with. */
export interface GenerationSettings {
  /** Pixels of the finished image, before an upscaler. */
  width: number;
  /** Pixels of the finished image, before an upscaler. */
  height: number;
  /** Denoising steps of the first pass. */
  steps: number;
  /** How closely the prompt was followed. */
  guidance: number;
  /** Name of the sampler, as requests spell it. */
  sampler: string;
  /** Name of the noise schedule, as requests spell it. */
  schedule: string;
}
