// What the service answers, and the one JSON form of it that HTTP, MCP and `--json` give.
import type { Phase } from '../../pipeline/types.js';
import type { ImageMetadata, TaskName } from '../pictures/metadata.js';
import type { ReturnMode } from '../request/parse.js';

export interface ResultImage {
  seed: number;
  /** The file's bytes, parameters included. */
  png: Buffer;
  /** null when it was not to be saved. */
  path: string | null;
  sidecarPath: string | null;
  metadata: ImageMetadata;
}

export interface ImageResult {
  task: TaskName;
  /** Key or path of the model. */
  model: string;
  /** Of the first image. */
  seed: number;
  steps: number;
  guidance: number;
  width: number;
  height: number;
  elapsedSeconds: number;
  /** As the model saw it, after prompt assist. */
  prompt: string;
  negativePrompt: string;
  assisted: boolean;
  cached: boolean;
  sampler: string;
  schedule: string;
  /** Seconds by phase; null for a cached result. */
  seconds: Record<Phase, number> | null;
  images: [ResultImage, ...ResultImage[]];
  /** For people: how to get a better model, why the prompt was not expanded. */
  notes: string[];
}

/** One image in an answer. */
export interface ImageFields {
  output_path: string | null;
  metadata_path: string | null;
  image_base64: string | null;
  mime: 'image/png';
}

export interface ImageResponse extends ImageFields {
  ok: true;
  task: TaskName;
  model: string;
  seed: number;
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
  /** All images of the batch, the first one among them. */
  images: (ImageFields & { seed: number })[];
}

export function toResponse(result: ImageResult, returnMode: ReturnMode): ImageResponse {
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
    ...toFields(first, returnMode),
    images: images.map((image) => ({
      seed: image.seed,
      ...toFields(image, images.length > 1 ? returnMode : 'path'),
    })),
  };
}

export function toFields(
  { png, path, sidecarPath }: Pick<ResultImage, 'png' | 'path' | 'sidecarPath'>,
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
