// The HTTP door: guards, routes, and the one place that turns errors into answers.
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { routePath } from 'hono/route';
import type { z } from 'zod';
import { McpHttpDoor } from '../mcp/http.js';
import { createMcpFactory } from '../mcp/server.js';
import type { ImageService } from '../service/image-service.js';
import { JobStore } from '../service/jobs/store.js';
import { ImageForgeError } from '../shared/errors.js';
import { type Logger, silentLogger } from '../shared/log.js';
import { readVersion } from '../shared/version.js';
import { limitBodies, takeTurns } from './body.js';
import type { Doors } from './context.js';
import { addDocs } from './docs.js';
import { answerError, type errorSchema } from './errors.js';
import { guardRequests, isKnownOrigin } from './guard.js';
import { Metrics } from './metrics.js';
import { OllamaProbe } from './ollama-probe.js';
import { describeApi } from './openapi.js';
import { addImageRoutes } from './routes/images.js';
import { addJobRoutes } from './routes/jobs.js';
import { addOpenAiRoutes } from './routes/openai/index.js';
import { addStateRoutes } from './routes/state.js';
import { addUpscaleRoutes } from './routes/upscale.js';
import { addWebUiRoutes } from './routes/webui/index.js';
import { Routes } from './routes.js';

export interface AppOptions {
  service: ImageService;
  jobs?: JobStore;
  logger?: Logger;
}

export interface App {
  fetch: Hono['fetch'];
  /** Every route, documented or not. */
  routes: { method: string; path: string }[];
  jobs: JobStore;
  /** Closes MCP sessions. Plain HTTP requests end with their connection. */
  close(): Promise<void>;
}

export function createApp({ service, jobs = new JobStore(service), logger = silentLogger }: AppOptions): App {
  const { config, assistant } = service;
  const metrics = new Metrics();
  const doors: Doors = { service, jobs, logger, metrics, ollama: new OllamaProbe(assistant, config) };
  const app = new Hono();
  const routes = new Routes(app);

  app.use(async (c, next) => {
    const begun = performance.now();
    await next();
    const route = c.res.status === 404 ? 'unknown' : routePath(c, -1);
    metrics.countRequest(c.req.method, route, c.res.status);
    const ms = Math.round(performance.now() - begun);
    logger.info({ method: c.req.method, path: c.req.path, status: c.res.status, ms }, 'request');
  });
  app.use(guardRequests(config));
  app.use(takeTurns());
  app.use(
    cors({
      origin: (origin, c) => (isKnownOrigin(origin, new URL(c.req.url).hostname) ? origin : null),
      allowMethods: ['GET', 'POST', 'PUT', 'DELETE'],
      exposeHeaders: ['Retry-After', 'Location', 'Mcp-Session-Id'],
    }),
  );
  app.use(...limitBodies());

  addStateRoutes(routes, doors);
  addImageRoutes(routes, doors);
  addUpscaleRoutes(routes, doors);
  addJobRoutes(routes, doors);
  addOpenAiRoutes(routes, doors);
  addWebUiRoutes(routes, doors);
  const mcp = new McpHttpDoor(createMcpFactory(service, jobs), logger);
  app.all('/mcp', (c) => mcp.fetch(c.req.raw));
  addDocs(app, () => describeApi(routes.descriptions, readVersion()));

  app.get('/', (c) => c.redirect('/docs'));
  app.notFound((c) => {
    const methods = routes.methodsOf(c.req.path);
    if (methods.length === 0) return answerError(c, new ImageForgeError('NOT_FOUND', 'Not Found'), 0);
    c.header('Allow', methods.join(', '));
    const message = 'Method Not Allowed';
    const error = { code: 'INVALID_ARGUMENT', message, hint: `Use ${methods.join(' or ')}.` };
    return c.json({ ok: false, detail: message, error } satisfies z.infer<typeof errorSchema>, 405);
  });
  app.onError((error, c) => {
    const known = ImageForgeError.from(error);
    if (known.status >= 500) logger.error({ path: c.req.path, code: known.code, error }, 'request failed');
    return answerError(c, error, jobs.meanSeconds());
  });
  return { fetch: app.fetch, routes: app.routes, jobs, close: () => mcp.close() };
}
