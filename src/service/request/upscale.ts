// A request to make a picture larger: its fields, and all that is read and checked before it waits.
import { z } from 'zod';
import { planUpscaler } from '../../families/upscaler.js';
import type { Pixels } from '../../native/addon.js';
import { sizeUpscaled } from '../../pipeline/upscaled-size.js';
import { resolveNamed } from '../../registry/named-files.js';
import { upscalers } from '../../registry/upscalers.js';
import type { Config } from '../../shared/config.js';
import { LIMITS } from '../../shared/limits.js';
import { decodePicture, measurePicture } from '../pictures/codec.js';
import { readPngText } from '../pictures/png-text.js';
import type { Size } from '../pictures/size.js';
import { type PictureSource, readSource } from '../pictures/source.js';
import { field, required } from './field.js';
import { parseFields, readSourceField } from './fields.js';
import { confineNamed, confinePath } from './paths.js';

const path = z.string().min(1).max(4096);
const agents = true;

export const upscaleSchema = z
  .object({
    image: field(z.string().min(1).max(LIMITS.pictureLength), 'Image, base64 or a data URL', {
      agents,
      flag: null,
    }),
    image_path: field(path, 'Image, a local path', { agents, flag: null }),
    model: required(
      path,
      'Upscaler: a safetensors file (RealESRGAN x2plus, x4plus, …) or a name in upscalers/',
      { agents, flag: '-m, --model <file>' },
    ),
    scale: field(
      z.number().gt(0).max(16),
      'Size of the result relative to the source; default: the upscaler’s own factor',
      { agents },
    ),
    tile: field(
      z.int().min(64).max(4096),
      'Largest side of a tile in pixels; default: from the free memory',
      {
        agents,
        flag: '--tile <pixels>',
      },
    ),
    return_mode: field(z.enum(['base64', 'path', 'both']), 'What the answer carries; default both', {
      flag: null,
    }),
  })
  .describe('Make a picture larger');

export interface UpscaleRequest {
  operation: 'upscale';
  image: PictureSource;
  model: string;
  scale: number | undefined;
  tile: number | undefined;
  returnMode: 'base64' | 'path' | 'both';
}

/** @throws ImageForgeError INVALID_ARGUMENT that names each bad field. */
export function parseUpscale(input: unknown): UpscaleRequest {
  const fields = parseFields(upscaleSchema, input);
  return {
    operation: 'upscale',
    image: readSourceField(fields, 'image', ['image_path']),
    model: fields.model,
    scale: fields.scale ?? undefined,
    tile: fields.tile ?? undefined,
    returnMode: fields.return_mode ?? 'both',
  };
}

export interface PreparedUpscale {
  pixels: Pixels;
  file: string;
  name: string;
  /** Size of the result. */
  size: Size;
  scale: number;
  tile: number | undefined;
  /** What the source PNG says about how it was made. */
  parameters: string | undefined;
}

/** Reads and checks everything before anything waits or is loaded. */
export async function prepareUpscale(
  { image, model, scale: wanted, tile }: UpscaleRequest,
  config: Config,
  confine: boolean,
): Promise<PreparedUpscale> {
  const file = locateUpscaler(model, config, confine);
  const source =
    confine && 'path' in image
      ? { path: confinePath(image.path, [config.outputDir, ...config.allowedPaths], config) }
      : image;
  const plan = await planUpscaler(file);
  const bytes = await readSource(source, 'image');
  const { width, height } = await measurePicture(bytes, 'image');
  const { scale, ...size } = sizeUpscaled({ width, height }, plan, wanted);
  const pixels = await decodePicture(bytes, { width, height }, 'image');
  return { pixels, file, name: plan.name, size, scale, tile, parameters: readParameters(bytes) };
}

/** Finds the upscaler's file. With `confine`, a path must lie in a folder where clients may name models. */
export function locateUpscaler(name: string, config: Config, confine: boolean): string {
  const allowed = [config.modelDir, ...config.allowedPaths];
  const place = confine ? confineNamed(upscalers, name, allowed, config) : name;
  return resolveNamed(upscalers, place, config);
}

function readParameters(bytes: Uint8Array): string | undefined {
  try {
    return readPngText(bytes).parameters;
  } catch {
    return undefined; // Another format than PNG.
  }
}
