// The service's results, and their one JSON form that HTTP, MCP and `--json` share.
import type { Phase, Task } from '../../pipeline/types.js';
import type { Seed } from '../../shared/seed.js';
import type { ImageMetadata, UpscaleMetadata } from '../pictures/metadata.js';
import type { SavedPicture } from '../pictures/outputs.js';
import type { JobRequest, ReturnMode } from '../request/parse.js';
import type { UpscaleRequest } from '../request/upscale.js';

export interface ResultImage extends SavedPicture<ImageMetadata> {
  seed: Seed;
}

export interface ImageResult {
  task: Task;
  /** Key or path of the model. */
  model: string;
  /** Seed of the first image. */
  seed: Seed;
  steps: number;
  guidance: number;
  width: number;
  height: number;
  elapsedSeconds: number;
  /** The prompt as the model saw it, after prompt assist, styles and choices. */
  prompt: string;
  negativePrompt: string;
  assisted: boolean;
  cached: boolean;
  sampler: string;
  schedule: string;
  /** Seconds by phase; null for a cached result. */
  seconds: Record<Phase, number> | null;
  images: [ResultImage, ...ResultImage[]];
  /** Sentences for people: what of the request had no effect and why, or how to get a better model. */
  notes: string[];
}

export interface UpscaleResult {
  task: 'upscale';
  elapsedSeconds: number;
  cached: false;
  images: [SavedPicture<UpscaleMetadata>];
  /** Sentences for people. */
  notes: string[];
}

export type JobResult<Request extends JobRequest = JobRequest> = Request extends UpscaleRequest
  ? UpscaleResult
  : ImageResult;

/** One image in an answer. */
interface ImageFields {
  output_path: string | null;
  metadata_path: string | null;
  image_base64: string | null;
  mime: 'image/png';
}

export interface ImageResponse extends ImageFields {
  ok: true;
  task: Task;
  model: string;
  seed: Seed;
  steps: number;
  guidance: number;
  guidance_scale: number;
  width: number;
  height: number;
  elapsed_s: number;
  generation_time_seconds: number;
  prompt: string;
  negative_prompt: string;
  sampler: string;
  schedule: string;
  assisted: boolean;
  cached: boolean;
  timestamp: string;
  notes: string[];
  /** All images of the batch, including the first. */
  images: (ImageFields & { seed: Seed })[];
}

export type UpscaleResponse = { ok: true } & Omit<UpscaleMetadata, 'saved_at_iso' | 'filename' | 'software'> &
  ImageFields & { notes: string[] };

/** The one JSON form of a result. */
export function toResponse(result: ImageResult, returnMode: ReturnMode): ImageResponse;
export function toResponse(result: UpscaleResult, returnMode: ReturnMode): UpscaleResponse;
export function toResponse(result: JobResult, returnMode: ReturnMode): ImageResponse | UpscaleResponse;
export function toResponse(result: JobResult, returnMode: ReturnMode): ImageResponse | UpscaleResponse {
  return result.task === 'upscale' ? describeUpscale(result, returnMode) : describeImages(result, returnMode);
}

function describeImages(result: ImageResult, returnMode: ReturnMode): ImageResponse {
  const { images, elapsedSeconds, negativePrompt, seconds: _seconds, ...rest } = result;
  const [first] = images;
  return {
    ok: true,
    ...rest,
    guidance_scale: rest.guidance,
    elapsed_s: elapsedSeconds,
    generation_time_seconds: elapsedSeconds,
    negative_prompt: negativePrompt,
    timestamp: first.metadata.timestamp,
    ...describeImage(first, returnMode),
    images: images.map((image) => ({
      seed: image.seed,
      ...describeImage(image, returnMode),
      // The bytes of a single picture are already above; megabytes need no second copy.
      ...(images.length === 1 && { image_base64: null }),
    })),
  };
}

function describeUpscale(
  { images: [image], notes = [] }: UpscaleResult,
  returnMode: ReturnMode,
): UpscaleResponse {
  const { saved_at_iso: _iso, filename: _name, software: _software, ...facts } = image.metadata;
  return { ok: true, ...facts, ...describeImage(image, returnMode), notes };
}

function describeImage(
  { png, path, sidecarPath }: SavedPicture<unknown>,
  returnMode: ReturnMode,
): ImageFields {
  const withPath = returnMode !== 'base64';
  return {
    output_path: withPath ? path : null,
    metadata_path: withPath ? sidecarPath : null,
    image_base64: returnMode === 'path' ? null : png.toString('base64'),
    mime: 'image/png',
  };
}
