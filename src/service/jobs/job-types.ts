// What a job may be asked for, and what it gives: pictures from words, or a picture made larger.

import { type ImageResponse, type ImageResult, toResponse } from '../answers/results.js';
import type { ImageService } from '../image-service.js';
import type { ImageRequest, Operation, ReturnMode } from '../request/parse.js';
import {
  parseUpscale,
  toUpscaleResponse,
  type UpscaleAsk,
  type UpscaleResponse,
  type UpscaleResult,
} from '../upscale.js';

export type JobRequest = ImageRequest | UpscaleAsk;
export type JobResult<A extends JobRequest = JobRequest> = A extends UpscaleAsk ? UpscaleResult : ImageResult;

export const JOB_OPERATIONS = ['generate', 'edit', 'inpaint', 'upscale'] as const satisfies readonly (
  | Operation
  | 'upscale'
)[];

export function parseJob(
  service: ImageService,
  operation: (typeof JOB_OPERATIONS)[number],
  fields: unknown,
): JobRequest {
  return operation === 'upscale' ? parseUpscale(fields) : service.parse(operation, fields);
}

/** The one JSON form of a result. */
export function toJobResponse(result: JobResult, returnMode: ReturnMode): ImageResponse | UpscaleResponse {
  return result.task === 'upscale' ? toUpscaleResponse(result, returnMode) : toResponse(result, returnMode);
}

/** Pictures that a request makes. */
export function countImages(request: JobRequest): number {
  return request.operation === 'upscale' ? 1 : request.batch;
}
