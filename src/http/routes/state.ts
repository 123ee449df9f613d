// Health, models, status and metrics, and the requests that change state: unload and timeout.
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { healthSchema, modelsSchema } from '../../service/answers/schemas.js';
import {
  describeStatus,
  MAX_TIMEOUT_SECONDS,
  statusSchema,
  timeoutSchema,
} from '../../service/answers/status.js';
import type { ServiceStatus } from '../../service/image-service.js';
import { readVersion } from '../../shared/version.js';
import { readJson } from '../body.js';
import type { Doors } from '../context.js';
import { refuseField } from '../errors.js';
import type { Routes } from '../routes.js';

const HEALTH_WAIT_MS = 5;
const statusAnswer = statusSchema.meta({ id: 'Status' });

export function addStateRoutes(routes: Routes, { service, jobs, ollama, metrics }: Doors): void {
  let last: ServiceStatus | undefined;
  /** The engine's process may be too busy to answer. Its last answer is good enough for /health. */
  const readSoon = async () => {
    const asked = service.status().then((found) => {
      last = found;
      return found;
    });
    const known = last;
    if (known?.engine.pid !== service.enginePid) return asked;
    asked.catch(() => undefined);
    return Promise.race([asked, wait(HEALTH_WAIT_MS, known)]);
  };
  const status = async () => describeStatus(await service.status());

  routes.add(
    {
      method: 'get',
      path: '/health',
      tag: 'state',
      summary: 'Whether the server, its device and Ollama are available',
      answer: { schema: healthSchema, description: 'The server answers' },
    },
    async (c) => {
      const [{ engine, loadedModel, defaultModel }, found] = await Promise.all([readSoon(), ollama.read()]);
      const device = nameDevice(engine.device ?? service.config.device);
      return c.json({
        status: 'ok',
        device,
        mps_available: device === 'mps' || (process.platform === 'darwin' && process.arch === 'arm64'),
        engine_constructed: engine.pid !== null,
        resident_models: loadedModel === null ? [] : [loadedModel],
        default_model: defaultModel,
        ollama: found,
        version: readVersion(),
      } satisfies z.infer<typeof healthSchema>);
    },
  );
  routes.add(
    {
      method: 'get',
      path: '/models',
      tag: 'state',
      summary: 'Models and what they can do',
      answer: { schema: modelsSchema, description: 'All models that requests can name' },
    },
    async (c) => c.json({ default_model: service.defaultModel, models: await service.listModels() }),
  );
  routes.add(
    {
      method: 'get',
      path: '/status',
      tag: 'state',
      summary: 'The loaded model, the unload timer, memory and queue',
      answer: { schema: statusAnswer, description: 'The state now' },
    },
    async (c) => c.json(await status()),
  );
  routes.add(
    {
      method: 'post',
      path: '/unload',
      tag: 'state',
      summary: 'Unload the model after the running job; its memory goes back to the system',
      answer: {
        schema: z.object({ ok: z.literal(true), unloaded: z.boolean() }),
        description: 'unloaded says whether a model was loaded',
      },
    },
    async (c) => c.json({ ok: true, unloaded: await service.unload() }),
  );
  routes.add(
    {
      method: 'put',
      path: '/timeout',
      tag: 'state',
      summary: 'Change the time after which an idle model is unloaded',
      body: { schema: timeoutSchema, name: 'TimeoutRequest' },
      answer: { schema: statusAnswer, description: 'The state with the new timeout' },
      errors: [422],
    },
    async (c) => {
      const parsed = timeoutSchema.safeParse(await readJson(c));
      if (!parsed.success)
        refuseField('timeout_seconds', `timeout_seconds: expected a number from 0 to ${MAX_TIMEOUT_SECONDS}`);
      service.setTimeout(parsed.data.timeout_seconds);
      return c.json(await status());
    },
  );
  routes.add(
    {
      method: 'get',
      path: '/metrics',
      tag: 'state',
      summary: 'Figures for Prometheus',
      answer: { type: 'text/plain', schema: z.string(), description: "Prometheus' text format" },
    },
    async (c) =>
      c.body(metrics.format(await service.status(), jobs), 200, {
        'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
      }),
  );
}

/** Clients of the replaced program know Apple's GPU by the name mps. */
function nameDevice(device: string): string {
  return device.replace(/^metal\b.*$/i, 'mps');
}
