// POST /upscale.
import { toResponse } from '../../service/answers/results.js';
import { upscaleResponseSchema } from '../../service/answers/schemas.js';
import { upscaleSchema } from '../../service/request/upscale.js';
import { readJson } from '../body.js';
import type { Doors } from '../context.js';
import type { Routes } from '../routes.js';

export function addUpscaleRoutes(routes: Routes, { service, jobs }: Doors): void {
  routes.add(
    {
      method: 'post',
      path: '/upscale',
      tag: 'images',
      summary: 'Make an image larger with an ESRGAN upscaler',
      body: { schema: upscaleSchema, name: 'UpscaleRequest' },
      answer: { schema: upscaleResponseSchema, description: 'The larger image' },
      errors: [400, 404, 413, 422, 429, 499, 503, 507],
    },
    async (c) => {
      const asked = service.parse('upscale', await readJson(c));
      const job = jobs.start(asked, { signal: c.req.raw.signal });
      return c.json(toResponse(await job.wait(), asked.returnMode));
    },
  );
}
