// The entry of the child process, or worker thread, that holds the engine. Takes commands and sends reports.
import { parentPort } from 'node:worker_threads';
import type { Addon } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { type Command, formatLogLine, type HostOptions, type LogLevel, type Report } from './protocol.js';
import { Session } from './session.js';

interface Port {
  send(report: Report): void;
  /** Ends the host after what it has sent. */
  end(): void;
}

const log = (level: LogLevel, message: string) => void process.stderr.write(formatLogLine(level, message));

function serve(port: Port): (command: Command) => void {
  let session: Promise<Session> | undefined;
  const running = new Map<number, AbortController>();

  const answer = async (id: number, work: (session: Session, signal: AbortSignal) => unknown) => {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const value = await work(await session!, controller.signal);
      port.send({ type: 'done', id, value: (value ?? null) as Extract<Report, { type: 'done' }>['value'] });
    } catch (error) {
      port.send({ type: 'failed', id, error: ImageForgeError.from(error).toJSON() });
    } finally {
      running.delete(id);
    }
  };

  /**
   * Collects garbage after a job: V8 would let the pictures, latents and token lists of hundreds of jobs pile up. A
   * collection takes 10 to 20 ms.
   */
  const answerJob = async (...args: Parameters<typeof answer>) => {
    await answer(...args);
    setImmediate(() => globalThis.gc?.());
  };

  const close = async () => {
    for (const controller of running.values()) controller.abort();
    try {
      await (await session)?.close();
    } catch (error) {
      log('warn', `closing the engine: ${ImageForgeError.from(error).message}`);
    }
    port.end();
  };
  const reportTo = (id: number) => (progress: Extract<Report, { type: 'progress' }>['progress']) =>
    port.send({ type: 'progress', id, progress });

  return (command) => {
    switch (command.type) {
      case 'start':
        session = openSession(command.options);
        // every job is answered with its error
        session.catch(() => undefined);
        break;
      case 'run': {
        const { id, request } = command;
        void answerJob(id, (open, signal) => open.run(request, { signal, onProgress: reportTo(id) }));
        break;
      }
      case 'upscale': {
        const { id, request } = command;
        void answerJob(id, (open, signal) => open.upscale(request, { signal, onProgress: reportTo(id) }));
        break;
      }
      case 'load':
        void answer(command.id, (open, signal) => open.load(command.model, command.memoryMode, { signal }));
        break;
      case 'status':
        void answer(command.id, (open) => open.status());
        break;
      case 'cancel':
        running.get(command.id)?.abort();
        break;
      case 'close':
        void close();
        break;
    }
  };
}

async function openSession(options: HostOptions): Promise<Session> {
  const binding = (await import(options.binding ?? '../native/binding.js')) as { loadAddon(): Addon };
  return new Session(binding.loadAddon(), options, log);
}

if (parentPort) {
  const port = parentPort;
  port.on('message', serve({ send: (report) => port.postMessage(report), end: () => port.close() }));
} else {
  const handle = serve({
    send: (report) =>
      void (process.connected && process.send!(report, undefined, undefined, () => undefined)),
    end: () => process.disconnect(),
  });
  process.on('message', (command) => handle(command as Command));
  // Without a parent nobody wants the result, and a normal exit would wait for a network that computes a step.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  // Ctrl-C and a service manager's SIGTERM reach the whole process group; the parent decides what happens to the job.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => undefined);
}
