// Formats the tools' answers: a preview that chats can show, the path of and a link to the full picture, and its data.
import path from 'node:path';
import type { CallToolResult } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { type JobResult, toResponse, type UpscaleResult } from '../service/answers/results.js';
import { imageResponseSchema, jobSchema, upscaleResponseSchema } from '../service/answers/schemas.js';
import type { Job } from '../service/jobs/job.js';
import { makePreview } from '../service/pictures/codec.js';
import type { Size } from '../service/pictures/size.js';
import { ImageForgeError } from '../shared/errors.js';
import { describeProgress } from './progress.js';

/** Stays below 300 kB as base64. */
const PREVIEW = { side: 768, bytes: 225_000 };

/** Fields left out: chats have no use for them, or the answer has them under another name. */
const UNSAID = {
  ok: true,
  mime: true,
  image_base64: true,
  images: true,
  guidance_scale: true,
  generation_time_seconds: true,
  timestamp: true,
} as const;

const optional = {
  ...jobSchema.pick({ position: true, progress: true }).shape,
  message: z.string(),
  ...imageResponseSchema.omit(UNSAID).shape,
  ...upscaleResponseSchema.pick({ scale: true, source_width: true, source_height: true }).shape,
  task: z.enum([...imageResponseSchema.shape.task.options, upscaleResponseSchema.shape.task.value]),
  images: z.array(imageResponseSchema.shape.images.element.pick({ seed: true, output_path: true })),
};

/** One shape for a finished picture and for a job that is still running. */
export const jobResultSchema = z
  .object({
    status: z.enum(['done', 'running', 'failed', 'cancelled']),
    job_id: z.string().optional().describe('For the tool "job", while the work continues'),
  })
  .extend(z.object(optional).partial().shape);

export async function showResult(result: JobResult): Promise<CallToolResult> {
  if (result.task === 'upscale') return showUpscaled(result);
  const { images, ...response } = toResponse(result, 'path');
  const { ok: _ok, mime: _mime, image_base64: _none, guidance_scale: _scale, ...facts } = response;
  const { generation_time_seconds: _seconds, timestamp: _timestamp, ...structured } = facts;
  const listed = images.map(({ seed, output_path }) => ({ seed, output_path }));
  const previews = await Promise.all(result.images.slice(0, 4).map(({ png }) => showPicture(png, result)));
  return {
    content: [
      ...previews,
      {
        type: 'text',
        text: JSON.stringify({ ...structured, images: listed.length > 1 ? listed : undefined }, null, 2),
      },
      ...result.images.flatMap(({ path: file, png }) => (file === null ? [] : [linkTo(file, png.length)])),
    ],
    structuredContent: { status: 'done', ...structured, images: listed },
  };
}

async function showUpscaled(result: UpscaleResult): Promise<CallToolResult> {
  const {
    ok: _ok,
    mime: _mime,
    image_base64: _none,
    timestamp: _timestamp,
    ...structured
  } = toResponse(result, 'path');
  const [{ png, path: file }] = result.images;
  return {
    content: [
      await showPicture(png, structured),
      { type: 'text', text: JSON.stringify(structured, null, 2) },
      ...(file === null ? [] : [linkTo(file, png.length)]),
    ],
    structuredContent: { status: 'done', ...structured },
  };
}

export function showRunning(job: Job): CallToolResult {
  const structured = {
    // Clients get one word for "not yet"; `position` tells a waiting job from a running one.
    status: job.active ? 'running' : job.state,
    job_id: job.id,
    position: job.position,
    progress: job.progress,
    message: `${describeProgress(job)}; ask the tool "job" with action "wait" for the image`,
  };
  return {
    content: [{ type: 'text', text: JSON.stringify(structured, null, 2) }],
    structuredContent: structured,
  };
}

/** Answers with a tool error: what was wrong, and what to do. */
export function showError(thrown: unknown): CallToolResult {
  const { code, message, hint } = ImageForgeError.from(thrown);
  const text = [`${code}: ${message}`, ...(hint ? [`Hint: ${hint}`] : [])].join('\n');
  return { content: [{ type: 'text', text }], isError: true };
}

export function showFacts(facts: Record<string, unknown>): CallToolResult {
  return { content: [{ type: 'text', text: JSON.stringify(facts, null, 2) }], structuredContent: facts };
}

/** Shows the picture itself if it is small enough, as the replaced program did, or else a preview. */
async function showPicture(
  png: Buffer,
  { width, height }: Size,
): Promise<{ type: 'image'; data: string; mimeType: string }> {
  if (png.length <= PREVIEW.bytes && Math.max(width, height) <= PREVIEW.side)
    return { type: 'image', data: png.toString('base64'), mimeType: 'image/png' };
  const { data, mime } = await makePreview(png, PREVIEW);
  return { type: 'image', data: data.toString('base64'), mimeType: mime };
}

function linkTo(file: string, size: number) {
  const name = path.basename(file);
  return { type: 'resource_link' as const, uri: imageUri(name), name, mimeType: 'image/png', size };
}

export const IMAGE_TEMPLATE = 'imageforge://images/{file}';

export function imageUri(name: string): string {
  return IMAGE_TEMPLATE.replace('{file}', encodeURIComponent(name));
}
