// Runs the two servers as processes: reads settings, logs JSON on stderr, and ends within ten seconds of a signal.
import { ImageService } from '../service/image-service.js';
import { type Config, readConfig } from '../shared/config.js';
import { createJsonLogger, type Logger, silentLogger } from '../shared/log.js';

/**
 * How long running jobs may take to finish after a signal. Stopping the engine and sending the last answers takes up to
 * 2 s more.
 */
const GRACE_MS = 7000;
/** After this long the process exits, whatever still hangs. */
const LIMIT_MS = 9500;

interface ServeOptions {
  host?: string;
  port?: string;
  /** Print the address as a JSON document on stdout. */
  json?: true;
}

export async function serveHttp({ host, port, json }: ServeOptions): Promise<void> {
  const env = { ...process.env, ...(host && { HOST: host }), ...(port && { PORT: port }) };
  const { service, logger } = await openService(readConfig({ env }));
  await serveUntilSignal(service, logger, (url) => {
    if (json) process.stdout.write(`${JSON.stringify({ ok: true, url, docs: `${url}/docs` })}\n`);
    else process.stderr.write(`ImageForge serves ${url} (documentation: ${url}/docs)\n`);
  });
}

/** Serves until SIGINT or SIGTERM, then shuts down: running jobs finish if they can, waiting ones are told to retry. */
export async function serveUntilSignal(
  service: ImageService,
  logger: Logger,
  onListening: (url: string) => void,
): Promise<void> {
  const { startServer } = await import('../http/server.js');
  const signal = listenForSignals();
  const server = await startServer({ service, logger });
  onListening(server.url);
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  logger.info({}, 'ending');
  await server.close(GRACE_MS);
}

export async function serveMcp(): Promise<void> {
  const { claimStdout, runStdio } = await import('../mcp/stdio.js');
  const stdout = claimStdout();
  const { service, logger } = await openService(readConfig());
  const signal = listenForSignals();
  if (service.config.warmup)
    void service.warmUp().catch((error) => logger.error({ error }, 'the default model could not be loaded'));
  await runStdio(service, { stdout, logger, signal, graceMs: GRACE_MS });
}

async function openService(config: Config): Promise<{ service: ImageService; logger: Logger }> {
  const logger = config.logLevel === 'silent' ? silentLogger : await createJsonLogger(config.logLevel);
  return { service: new ImageService({ config, logger, confine: true }), logger };
}

/** Fires at the first SIGINT or SIGTERM. A second one ends the program, and so does a shutdown that hangs. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    setTimeout(() => process.exit(1), LIMIT_MS).unref();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return controller.signal;
}
