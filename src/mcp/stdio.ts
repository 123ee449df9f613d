// MCP over stdin and stdout. Nothing but the protocol may reach stdout, whatever a library prints.
import { Writable } from 'node:stream';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import type { ImageService } from '../service/image-service.js';
import { JobStore } from '../service/jobs.js';
import { LIMITS } from '../service/request-schema.js';
import type { Logger } from '../shared/log.js';
import { createMcpFactory } from './server.js';

/** Two pictures in base64 and the fields around them. */
const MAX_MESSAGE = 2 * LIMITS.pictureLength + 2 ** 20;

/** Sends what is printed to stderr from now on; the returned stream is the only way to the real stdout. */
export function claimStdout(): Writable {
  const write = process.stdout.write.bind(process.stdout);
  const claimed = new Writable({
    write: (chunk: Uint8Array, _encoding, done) => void write(chunk, (error) => done(error ?? null)),
  });
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  return claimed;
}

/** Serves until the client closes stdin or the signal fires. */
export async function runStdio(
  service: ImageService,
  { stdout, logger, signal }: { stdout: Writable; logger: Logger; signal: AbortSignal },
): Promise<void> {
  const transport = new StdioServerTransport(process.stdin, stdout, { maxBufferSize: MAX_MESSAGE });
  const handle = serveStdio(createMcpFactory(service, new JobStore(service)), {
    transport,
    onerror: (error) => logger.warn({ error }, 'MCP connection'),
  });
  await new Promise<void>((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve);
    stdout.once('error', () => resolve());
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  await handle.close().catch(() => undefined);
}
