// Jobs: requests that outlive their client, with live events.
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import { toResponse } from '../../service/answers/results.js';
import { jobSchema } from '../../service/answers/schemas.js';
import type { Job, NumberedEvent } from '../../service/jobs/job.js';
import { OPERATIONS, type Operation } from '../../service/request/parse.js';
import { upscaleSchema } from '../../service/request/upscale.js';
import { readJson } from '../body.js';
import type { Doors } from '../context.js';
import { publish, refuseField } from '../errors.js';
import { keepAlive } from '../heartbeat.js';
import type { Routes } from '../routes.js';

export function addJobRoutes(routes: Routes, { service, jobs }: Doors): void {
  const find = (c: Context) => jobs.get(c.req.param('id') ?? '');
  const drawn = service.schemas.inpaint.extend({
    operation: z
      .enum(['generate', 'edit', 'inpaint'])
      .optional()
      .describe('Default: inpaint with a mask, edit with a source image, otherwise generate'),
  });
  const shape = z.union([drawn, upscaleSchema.extend({ operation: z.literal('upscale') })]);
  routes.add(
    {
      method: 'post',
      path: '/jobs',
      tag: 'jobs',
      summary: 'Start a job; it continues when the client disconnects',
      body: { schema: shape, name: 'JobRequest' },
      answer: { schema: jobSchema, status: 202, description: 'The job is waiting or running' },
      errors: [400, 413, 422, 429, 503],
    },
    async (c) => {
      const { operation, ...fields } = await readJson(c);
      const request = service.parse(chooseOperation(operation, fields), { preview_every: 1, ...fields });
      const job = jobs.start(request);
      const accepted = describeJob(job);
      await jobs.keep(job);
      return c.json(accepted, 202, { Location: `/jobs/${job.id}` });
    },
  );
  routes.add(
    {
      method: 'get',
      path: '/jobs/:id',
      tag: 'jobs',
      summary: 'A job, and its result when it is done',
      answer: { schema: jobSchema, description: 'The job as it is now' },
      errors: [404],
    },
    (c) => c.json(describeJob(find(c))),
  );
  routes.add(
    {
      method: 'delete',
      path: '/jobs/:id',
      tag: 'jobs',
      summary: 'Cancel a job; it ends within a step',
      answer: { schema: jobSchema, description: 'The job after it has ended' },
      errors: [404],
    },
    async (c) => {
      const job = find(c);
      await jobs.cancel(job);
      return c.json(describeJob(job));
    },
  );
  routes.add(
    {
      method: 'get',
      path: '/jobs/:id/events',
      tag: 'jobs',
      summary: 'Server-sent events: queued, phase, step, preview, done, failed',
      answer: {
        type: 'text/event-stream',
        schema: z.string(),
        description: 'All events, starting with the first',
      },
      errors: [404],
    },
    (c) => streamEvents(c, find(c)),
  );
}

export function describeJob(job: Job): z.infer<typeof jobSchema> {
  const { id, state, request, position, progress, createdAt, startedAt, endedAt, result, error } = job;
  return {
    id,
    status: state,
    operation: request.operation,
    position,
    progress,
    created_at: createdAt.toISOString(),
    started_at: startedAt?.toISOString() ?? null,
    ended_at: endedAt?.toISOString() ?? null,
    result: result && toResponse(result, request.returnMode),
    error: error && publish(error),
    events_url: `/jobs/${id}/events`,
  };
}

function chooseOperation(asked: unknown, fields: Record<string, unknown>): Operation {
  if (asked === undefined || asked === null) {
    if (fields.mask_image || fields.mask_image_path || fields.mask_path) return 'inpaint';
    return fields.init_image || fields.init_image_path || fields.image_path ? 'edit' : 'generate';
  }
  const operation = OPERATIONS.find((known) => known === asked);
  return operation ?? refuseField('operation', `operation: expected one of ${OPERATIONS.join(', ')}`);
}

/** Streams past events (after Last-Event-ID if the client reconnects), then new ones as they happen. */
function streamEvents(c: Context, job: Job): Response {
  const seen = Number(c.req.header('last-event-id') ?? 0);
  c.header('X-Accel-Buffering', 'no');
  return streamSSE(c, async (stream) => {
    const pending = job.history.filter(({ id }) => !(id <= seen));
    let wake = () => {};
    const unsubscribe = job.subscribe((event) => {
      pending.push(event);
      wake();
    });
    stream.onAbort(() => wake());
    const stopHeartbeat = keepAlive(stream);
    try {
      while (!stream.aborted) {
        const next = pending.shift();
        if (next) await stream.writeSSE(formatEvent(next, job));
        else if (!job.active) break;
        else await new Promise<void>((resolve) => (wake = resolve));
        if (next?.event.type === 'done' || next?.event.type === 'failed') break;
      }
    } finally {
      stopHeartbeat();
      unsubscribe();
    }
  });
}

function formatEvent({ id, event }: NumberedEvent, job: Job): { id: string; event: string; data: string } {
  return { id: String(id), event: event.type, data: JSON.stringify(formatData(event, job)) };
}

function formatData(event: NumberedEvent['event'], job: Job): object {
  switch (event.type) {
    case 'done':
      return toResponse(event.result, job.request.returnMode);
    case 'failed':
      return job.error ? publish(job.error) : event.error;
    case 'preview':
      return {
        image: event.image,
        step: event.step,
        mime: event.mime,
        image_base64: event.data.toString('base64'),
      };
    default: {
      const { type: _, ...data } = event;
      return data;
    }
  }
}
