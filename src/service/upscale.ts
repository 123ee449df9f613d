// Pictures made larger: what doors may ask, checked like every request, and the work from the source's bytes to a PNG.
import path from 'node:path';
import { z } from 'zod';
import type { EngineClient } from '../engine/client.js';
import { planUpscaler } from '../families/upscaler.js';
import type { Pixels } from '../native/addon.js';
import type { Progress } from '../pipeline/types.js';
import { resolveNamed } from '../registry/named-files.js';
import { upscalers } from '../registry/upscalers.js';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { readVersion } from '../shared/version.js';
import { type ImageFields, toFields } from './answers/results.js';
import {
  decodePicture,
  encodePng,
  measurePicture,
  readSource,
  resizePicture,
  type Size,
} from './pictures/codec.js';
import { formatLocalTime, formatUtcTime } from './pictures/metadata.js';
import { insertPngText, readPngText } from './pictures/png-text.js';
import { type PictureSource, parseFields, readSourceField } from './request/fields.js';
import type { ReturnMode } from './request/parse.js';
import { confineNamed, confinePath } from './request/paths.js';
import { LIMITS } from './request/schema.js';

/** Pixels of a result: as RGB they are 400 MB. */
const MAX_PIXELS = 2 ** 27;

export const upscaleSchema = z
  .object({
    image: z.string().min(1).max(LIMITS.pictureLength).nullish().describe('Image, base64 or a data URL'),
    image_path: z.string().min(1).max(4096).nullish().describe('Image, a local path'),
    model: z
      .string()
      .min(1)
      .max(4096)
      .describe('Upscaler: a safetensors file (RealESRGAN x2plus, x4plus, …) or a name in upscalers/'),
    scale: z
      .number()
      .gt(0)
      .max(16)
      .nullish()
      .describe('Size of the result over that of the source; default: what the upscaler makes'),
    tile: z
      .int()
      .min(64)
      .max(4096)
      .nullish()
      .describe('Largest side of a tile in pixels; default: from the free memory'),
    return_mode: z
      .enum(['base64', 'path', 'both'])
      .nullish()
      .describe('What the answer carries; default both'),
  })
  .describe('Makes a picture larger');

export interface UpscaleAsk {
  operation: 'upscale';
  image: PictureSource;
  model: string;
  scale?: number | undefined;
  tile?: number | undefined;
  returnMode: ReturnMode;
}

/** @throws ImageForgeError INVALID_ARGUMENT that names each bad field. */
export function parseUpscale(input: unknown): UpscaleAsk {
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

/** The sidecar's fields. */
export interface UpscaleMetadata {
  task: 'upscale';
  model: string;
  /** Result over source. */
  scale: number;
  width: number;
  height: number;
  source_width: number;
  source_height: number;
  elapsed_s: number;
  timestamp: string;
  saved_at_iso: string;
  filename: string;
  software: string;
}

export interface PreparedUpscale {
  pixels: Pixels;
  file: string;
  name: string;
  /** Of the result. */
  size: Size;
  scale: number;
  tile: number | undefined;
  /** What the source's PNG says of how it was made. */
  parameters: string | undefined;
}

/** Reads and checks everything before anything waits or is loaded. */
export async function prepareUpscale(
  { image, model, scale: wanted, tile }: UpscaleAsk,
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
  const scale = wanted ?? plan.scale;
  const size = {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
  const most = width * height * Math.max(scale, plan.scale) ** 2;
  if (most > MAX_PIXELS) {
    throw new ImageForgeError(
      'TOO_LARGE',
      `image: ${width}x${height} times ${Math.max(scale, plan.scale)} has ${Math.round(most / 1e6)} million pixels; at most ${Math.floor(MAX_PIXELS / 1e6)} million are made.`,
      { hint: 'Use a smaller picture or an upscaler of a smaller scale.', details: { fields: ['image'] } },
    );
  }
  const pixels = await decodePicture(bytes, { width, height }, 'image');
  return { pixels, file, name: plan.name, size, scale, tile, parameters: readParameters(bytes) };
}

/** A client's paths (`confine`) must lie where it may name models. */
export function locateUpscaler(name: string, config: Config, confine: boolean): string {
  const allowed = [config.modelDir, ...config.allowedPaths];
  const place = confine ? confineNamed(upscalers, name, allowed, config) : name;
  return resolveNamed(upscalers, place, config);
}

export async function runUpscale(
  { pixels, file, name, size, scale, tile, parameters }: PreparedUpscale,
  client: EngineClient,
  options: { signal?: AbortSignal | undefined; onProgress?: ((progress: Progress) => void) | undefined },
): Promise<{ png: Buffer; metadata: UpscaleMetadata }> {
  const begun = performance.now();
  const { image } = await client.upscale(
    { model: file, image: pixels, ...(tile !== undefined && { tile }) },
    {
      ...(options.signal && { signal: options.signal }),
      ...(options.onProgress && { onProgress: options.onProgress }),
    },
  );
  const png = await encodePng(await resizePicture(image, size));
  const now = new Date();
  const metadata: UpscaleMetadata = {
    task: 'upscale',
    model: name,
    scale,
    ...size,
    source_width: pixels.width,
    source_height: pixels.height,
    elapsed_s: Math.round(performance.now() - begun) / 1000,
    timestamp: formatLocalTime(now),
    saved_at_iso: formatUtcTime(now),
    filename: '',
    software: `imageforge ${readVersion()}`,
  };
  return { png: parameters === undefined ? png : insertPngText(png, { parameters }), metadata };
}

export interface UpscaledImage {
  /** The file's bytes. */
  png: Buffer;
  /** null when it was not to be saved. */
  path: string | null;
  sidecarPath: string | null;
  metadata: UpscaleMetadata;
}

export interface UpscaleResult {
  task: 'upscale';
  elapsedSeconds: number;
  cached: false;
  images: [UpscaledImage];
}

export type UpscaleResponse = { ok: true } & Omit<UpscaleMetadata, 'saved_at_iso' | 'filename' | 'software'> &
  ImageFields;

/** The one JSON form of a result that HTTP and `--json` give. */
export function toUpscaleResponse(
  { images: [image] }: UpscaleResult,
  returnMode: ReturnMode,
): UpscaleResponse {
  const { saved_at_iso: _iso, filename: _name, software: _software, ...facts } = image.metadata;
  return { ok: true, ...facts, ...toFields(image, returnMode) };
}

/** Base name without ending of a result that has no name yet. */
export function nameUpscaled(image: PictureSource, stamp: string): string {
  return 'path' in image ? `${path.parse(image.path).name}_upscaled` : `upscaled_${stamp}`;
}

function readParameters(bytes: Uint8Array): string | undefined {
  try {
    return readPngText(bytes).parameters;
  } catch {
    return undefined; // another format, or a PNG without text
  }
}
