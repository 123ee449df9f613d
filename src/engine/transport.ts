// Two ways to run the host: as a child process, which may crash and which frees all its memory, or as a worker thread.
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ImageForgeError } from '../shared/errors.js';
import type { Command, Report } from './protocol.js';

export interface Exit {
  /** Why it ended, as text for people: "signal SIGKILL", "exit code 1". */
  reason: string;
  code: number | null;
  signal: string | null;
}

export interface TransportEvents {
  onReport(report: Report): void;
  /** Gets a line of the host's stdout or stderr. */
  onLine(line: string): void;
  /** Called once, after the last line. */
  onExit(exit: Exit): void;
}

export interface Transport {
  readonly pid: number;
  send(command: Command): void;
  /** Ends the host at once. */
  kill(): void;
  /** Sets whether the host keeps our event loop alive. */
  hold(busy: boolean): void;
}

export function startProcess(events: TransportEvents): Transport {
  const child = fork(locateHost(), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // the host collects garbage after its jobs
    execArgv: ['--expose-gc'],
    // glibc keeps freed memory for each thread that ever allocated; here hardly two allocate at a time
    env: { MALLOC_ARENA_MAX: '1', ...process.env },
  });
  if (child.pid === undefined) {
    child.on('error', () => undefined);
    throw new ImageForgeError('INTERNAL', 'The engine process could not be started.');
  }
  readLines(child.stdout!, events.onLine);
  readLines(child.stderr!, events.onLine);
  child.on('message', (report) => events.onReport(report as Report));
  // 'error' also reports a send to a process that has just died; 'close' follows and says why it died
  child.on('error', () => undefined);
  child.once('close', (code, signal) => events.onExit(describeExit(code, signal)));
  const holders = [child, child.channel!, child.stdout!, child.stderr!] as { ref(): void; unref(): void }[];
  return {
    pid: child.pid,
    send: (command) => void (child.connected && child.send(command, () => undefined)),
    kill: () => void child.kill('SIGKILL'),
    hold: (busy) => {
      for (const holder of holders) busy ? holder.ref() : holder.unref();
    },
  };
}

export function startThread(events: TransportEvents): Transport {
  const worker = new Worker(locateHost(), { stdout: true, stderr: true, execArgv: [] });
  readLines(worker.stdout, events.onLine);
  readLines(worker.stderr, events.onLine);
  worker.on('message', (report) => events.onReport(report as Report));
  worker.on('error', (error) => events.onLine(`error: ${error.stack ?? error.message}`));
  worker.once('exit', (code) => events.onExit(describeExit(code, null)));
  return {
    pid: process.pid,
    send: (command) => worker.postMessage(command),
    kill: () => void worker.terminate(),
    hold: (busy) => (busy ? worker.ref() : worker.unref()),
  };
}

function describeExit(code: number | null, signal: string | null): Exit {
  return { reason: signal === null ? `exit code ${code}` : `signal ${signal}`, code, signal };
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine);
}

/** Node runs JavaScript only, so tests that run the TypeScript sources use the built host. */
function locateHost(): string {
  const here = new URL('./host.js', import.meta.url);
  const built = new URL('../../dist/engine/host.js', import.meta.url);
  const found = [here, built].find((url) => existsSync(url));
  if (!found)
    throw new ImageForgeError('INTERNAL', `The engine's host is missing: ${fileURLToPath(here)}`, {
      hint: 'Run npm run build.',
    });
  return fileURLToPath(found);
}
