// The HTTP server: binds, serves, and shuts down in order.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createAdaptorServer } from '@hono/node-server';
import type { ImageService } from '../service/image-service.js';
import { SavedJobs } from '../service/jobs/saved-jobs.js';
import { JobStore } from '../service/jobs/store.js';
import { preparePictures } from '../service/pictures/codec.js';
import { ImageForgeError } from '../shared/errors.js';
import { type Logger, silentLogger } from '../shared/log.js';
import { createApp } from './app.js';
import { requireSafeBinding } from './guard.js';

/**
 * Keep connections open for longer than clients and proxies do (httpx 5 s, many proxies 60 s): a request that is sent just
 * as the server closes its connection fails.
 */
const KEEP_ALIVE_MS = 65_000;

/** Added to the grace period, for stopping the engine and sending the last answers. */
const ENDING_MS = 2000;

export interface HttpServer {
  /** For example http://127.0.0.1:8765. */
  url: string;
  jobs: JobStore;
  /**
   * Takes no more requests, gives running jobs `graceMs` to finish, refuses waiting ones and ends the engine. Unfinished
   * jobs of /jobs resume at the next start on this port.
   */
  close(graceMs?: number): Promise<void>;
}

/** @throws ImageForgeError CONFIG_INVALID for an address that is unsafe or in use. */
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
  const saved = new SavedJobs({ folder: path.join(config.cacheDir, 'jobs', `http-${config.port}`), logger });
  const app = createApp({ service, jobs: new JobStore(service, { saved }), logger });
  const server = createAdaptorServer({ fetch: app.fetch, hostname: config.host }) as Server;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await listen(server, config.port, config.host.replace(/^\[(.*)\]$/, '$1'));
  await resumeJobs(app.jobs, saved, logger);
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
      app.jobs.suspend();
      const ended = Promise.all(app.jobs.active().map((job) => job.ended));
      await service.close(graceMs);
      // Finished pictures must still be written and sent. Idle keep-alive connections are not waited for.
      const sweep = setInterval(() => server.closeIdleConnections(), 20);
      await Promise.race([ended.then(() => closed), wait(Math.max(500, deadline - performance.now()))]);
      clearInterval(sweep);
      await saved.release();
      await app.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function resumeJobs(jobs: JobStore, saved: SavedJobs, logger: Logger): Promise<void> {
  const left = await saved.takeAll();
  for (const job of left) {
    try {
      jobs.resume(job);
    } catch (error) {
      logger.warn(
        { job: job.id, error },
        'a job of the last run could not be resumed; it waits for the next start',
      );
    }
  }
  if (left.length > 0) logger.info({ jobs: left.length }, 'jobs of the last run were resumed');
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      const message = taken
        ? `Port ${port} on ${host} is in use.`
        : `Cannot serve ${host}:${port}: ${error.message}.`;
      reject(
        new ImageForgeError('CONFIG_INVALID', message, {
          hint: taken ? 'Stop the other program, or choose another PORT.' : 'Choose another HOST or PORT.',
          cause: error,
        }),
      );
    });
    server.listen(port, host, () => resolve());
  });
}
