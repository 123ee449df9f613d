// POST /generate, /edit and /inpaint, as the replaced program had them, and GET for the files that they made.
import type { Context } from 'hono';
import { toResponse } from '../../service/answers/results.js';
import { imageResponseSchema } from '../../service/answers/schemas.js';
import type { ImageOperation } from '../../service/request/parse.js';
import { readSavedPicture } from '../../service/request/saved-picture.js';
import { readJson } from '../body.js';
import type { Doors } from '../context.js';
import type { Routes } from '../routes.js';

const OPERATIONS: { operation: ImageOperation; name: string; summary: string }[] = [
  { operation: 'generate', name: 'GenerateRequest', summary: 'Text to image' },
  { operation: 'edit', name: 'EditRequest', summary: 'Image to image' },
  { operation: 'inpaint', name: 'InpaintRequest', summary: 'Repaint the white regions of a mask' },
];

export function addImageRoutes(routes: Routes, { service, jobs }: Doors): void {
  for (const { operation, name, summary } of OPERATIONS) {
    routes.add(
      {
        method: 'post',
        path: `/${operation}`,
        tag: 'images',
        summary,
        body: { schema: service.schemas[operation], name },
        answer: { schema: imageResponseSchema, description: 'The image and how it was made' },
        errors: [400, 404, 413, 422, 429, 499, 503, 507],
      },
      async (c) => {
        const request = service.parse(operation, await readJson(c));
        const job = jobs.start(request, { signal: c.req.raw.signal });
        return c.json(toResponse(await job.wait(), request.returnMode));
      },
    );
  }
  routes.add(
    {
      method: 'get',
      path: '/images/:file',
      tag: 'images',
      summary: 'An image of the output folder',
      answer: { type: 'image/png', description: 'The PNG file' },
      errors: [404],
    },
    (c) => sendImage(c, c.req.param('file') ?? '', service.config),
  );
}

async function sendImage(c: Context, name: string, config: Doors['service']['config']): Promise<Response> {
  const bytes = await readSavedPicture(name, config);
  return c.body(new Uint8Array(bytes), 200, {
    'Content-Type': 'image/png',
    'Cache-Control': 'private, max-age=31536000, immutable',
    'X-Content-Type-Options': 'nosniff',
  });
}
