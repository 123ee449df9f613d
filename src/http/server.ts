// The HTTP server's life: binds, serves, and ends in order.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createAdaptorServer } from '@hono/node-server';
import type { ImageService } from '../service/image-service.js';
import type { JobStore } from '../service/jobs.js';
import { preparePictures } from '../service/pictures.js';
import { resumeJobs, suspendJobs } from '../service/restart.js';
import { ImageForgeError } from '../shared/errors.js';
import { type Logger, silentLogger } from '../shared/log.js';
import { createApp } from './app.js';
import { requireSafeBinding } from './guard.js';

/** After the grace: for the engine's end, and for the last answers. */
const ENDING_MS = 4000;

export interface HttpServer {
  /** http://127.0.0.1:8765 */
  url: string;
  jobs: JobStore;
  /**
   * Takes no more requests, lets what runs end within `graceMs`, refuses what waits, ends the engine. Jobs of /jobs that
   * have not ended go on at the next start.
   */
  close(graceMs?: number): Promise<void>;
}

/** @throws ImageForgeError CONFIG_INVALID for an unsafe or a taken address. */
export async function startServer({
  service,
  logger = silentLogger,
}: {
  service: ImageService;
  logger?: Logger;
}): Promise<HttpServer> {
  const { config } = service;
  requireSafeBinding(config);
  await preparePictures();
  const app = createApp({ service, logger });
  const server = createAdaptorServer({ fetch: app.fetch, hostname: config.host }) as Server;
  await listen(server, config.port, config.host.replace(/^\[(.*)\]$/, '$1'));
  const restart = { folder: path.join(config.cacheDir, 'jobs'), logger };
  await resumeJobs(app.jobs, restart);
  const { address, port, family } = server.address() as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  if (config.warmup) {
    logger.info({ model: service.defaultModel }, 'loading the default model');
    void service.warmUp().catch((error) => logger.error({ error }, 'the default model could not be loaded'));
  }
  return {
    url,
    jobs: app.jobs,
    close: async (graceMs = 0) => {
      const deadline = performance.now() + graceMs + ENDING_MS;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const leave = await suspendJobs(app.jobs, restart);
      const ended = Promise.all(app.jobs.active().map((job) => job.ended));
      await service.close(graceMs);
      // what has left the engine is still to be written and sent; keep-alive connections are not waited for
      const sweep = setInterval(() => server.closeIdleConnections(), 20);
      await Promise.race([ended.then(() => closed), wait(Math.max(500, deadline - performance.now()))]);
      clearInterval(sweep);
      await leave();
      await app.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      const message = taken
        ? `Port ${port} of ${host} is taken.`
        : `Cannot serve ${host}:${port}: ${error.message}.`;
      reject(
        new ImageForgeError('CONFIG_INVALID', message, {
          hint: taken ? 'End the other program, or choose another PORT.' : 'Choose another HOST or PORT.',
          cause: error,
        }),
      );
    });
    server.listen(port, host, () => resolve());
  });
}
