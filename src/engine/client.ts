// The engine as the service sees it. It starts a host process when a job comes, runs one job at a time, and starts a new
// host when one has died.
import { planModel } from '../families/index.js';
import type { ModelFiles, ModelPlan } from '../families/types.js';
import type {
  PipelineRequest,
  PipelineResult,
  Progress,
  RunOptions,
  UpscaledPixels,
  UpscaleRequest,
} from '../pipeline/types.js';
import { ImageForgeError } from '../shared/errors.js';
import type { MemoryChoice } from '../shared/memory-modes.js';
import {
  type Command,
  type HostOptions,
  type HostStatus,
  type LogLevel,
  parseLogLine,
  type Report,
} from './protocol.js';
import { type Exit, startProcess, startThread, type Transport } from './transport.js';

export interface EngineClientOptions extends HostOptions {
  /** 'process' (default) survives crashes and frees all memory on unload; 'thread' needs no process of its own. */
  isolation?: 'process' | 'thread';
  /** How long a host may take to close before it is killed, in milliseconds (default 3000). */
  graceMs?: number;
  /** Gets the lines that the host and the networks log. */
  onLog?: (level: LogLevel, message: string) => void;
}

export interface EngineStatus extends HostStatus {
  /** 'stopped': there is no host. 'idle': the host waits for a job. 'busy': a job runs. */
  state: 'stopped' | 'idle' | 'busy';
  /** Id of the host's process; null when stopped. */
  pid: number | null;
}

const STOPPED: EngineStatus = {
  state: 'stopped',
  pid: null,
  device: null,
  model: null,
  memory: null,
  rss: 0,
  peakRss: 0,
};
const TAIL_LINES = 20;

export class EngineClient {
  readonly #options: EngineClientOptions;
  #host: Host | undefined;
  /** Settles with the last of the jobs, which run in the order of their calls. */
  #last: Promise<unknown> = Promise.resolve();
  #busy = false;
  #closed = false;

  constructor(options: EngineClientOptions = {}) {
    this.#options = options;
  }

  /**
   * Runs one request and returns its pictures. Calls run in order, one at a time. The model stays in memory for the next.
   * @throws ImageForgeError ABORTED when the signal fires, ENGINE_CRASHED when the host dies, CLOSED after close(), and
   *   the pipeline's codes.
   */
  run(request: PipelineRequest, options: RunOptions = {}): Promise<PipelineResult> {
    return this.#enqueue(
      (host) => host.call<PipelineResult>({ type: 'run', id: 0, request }, options),
      options.signal,
    );
  }

  /** Enlarges one picture, in turn with the runs. The model stays in memory. Throws the same errors as run(). */
  upscale(request: UpscaleRequest, options: RunOptions = {}): Promise<UpscaledPixels> {
    return this.#enqueue(
      (host) => host.call<UpscaledPixels>({ type: 'upscale', id: 0, request }, options),
      options.signal,
    );
  }

  /** Starts the host and loads a model, so that the next request for it starts at once. */
  async load(
    model: ModelFiles,
    { memoryMode = 'auto', ...options }: RunOptions & { memoryMode?: MemoryChoice } = {},
  ): Promise<void> {
    const command = { type: 'load', id: 0, model, memoryMode } as const;
    await this.#enqueue((host) => host.call(command, options), options.signal);
  }

  /** Reads what the files are from their headers, in this process: no host is started. */
  async plan(files: ModelFiles): Promise<ModelPlan> {
    return planModel(files);
  }

  async status(): Promise<EngineStatus> {
    const host = this.#host;
    if (!host) return STOPPED;
    try {
      const status = await host.call<HostStatus>({ type: 'status', id: 0 });
      return { ...status, state: this.#busy ? 'busy' : 'idle', pid: host.pid };
    } catch (error) {
      if (this.#host !== host) return STOPPED;
      throw error;
    }
  }

  /** Id of the host's process; null when there is none. */
  get pid(): number | null {
    return this.#host?.pid ?? null;
  }

  /** Ends the host after the jobs so far. When this resolves, the system has its memory back. */
  async unload(): Promise<void> {
    const unloaded = this.#last.then(() => this.#stop());
    this.#last = unloaded.catch(() => undefined);
    await unloaded;
  }

  /** Ends the host at once, within `graceMs`. Running jobs and later calls reject with CLOSED. */
  async close(graceMs?: number): Promise<void> {
    this.#closed = true;
    await this.#stop(graceMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #stop(graceMs = this.#options.graceMs ?? 3000): Promise<void> {
    await this.#host?.close(graceMs);
  }

  async #enqueue<T>(job: (host: Host) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const before = this.#last;
    const run = (async () => {
      await waitUnlessAborted(before, signal);
      if (this.#closed) throw closedError();
      const host = this.#ensureHost();
      this.#busy = true;
      try {
        return await job(host);
      } finally {
        this.#busy = false;
      }
    })();
    // a job that was cancelled while it waited must not let the next one overtake the jobs before it
    this.#last = Promise.allSettled([before, run]).then(() => undefined);
    return run;
  }

  #ensureHost(): Host {
    if (this.#host) return this.#host;
    const host = new Host(this.#options, () => {
      if (this.#host === host) this.#host = undefined;
    });
    this.#host = host;
    return host;
  }
}

interface Call {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  onProgress: ((progress: Progress) => void) | undefined;
}

/** One host process, from its start to its exit. */
class Host {
  readonly #transport: Transport;
  readonly #calls = new Map<number, Call>();
  readonly #tail: string[] = [];
  readonly #exited: Promise<void>;
  #nextId = 1;
  #closing = false;
  #ended = false;

  constructor(options: EngineClientOptions, onEnd: () => void) {
    const { isolation = 'process', graceMs: _, onLog, ...hostOptions } = options;
    let settle: () => void;
    this.#exited = new Promise((resolve) => {
      settle = resolve;
    });
    this.#transport = (isolation === 'thread' ? startThread : startProcess)({
      onReport: (report) => this.#receive(report),
      onLine: (line) => {
        this.#tail.push(line);
        if (this.#tail.length > TAIL_LINES) this.#tail.shift();
        const { level, message } = parseLogLine(line);
        onLog?.(level, message);
      },
      onExit: (exit) => {
        this.#ended = true;
        onEnd();
        this.#rejectAll(exit);
        settle();
      },
    });
    this.#transport.send({ type: 'start', options: hostOptions });
    this.#transport.hold(false);
  }

  get pid(): number {
    return this.#transport.pid;
  }

  call<T>(
    command: Exclude<Command, { type: 'start' | 'close' | 'cancel' }>,
    options: RunOptions = {},
  ): Promise<T> {
    const { signal, onProgress } = options;
    const id = this.#nextId++;
    if (this.#ended) return Promise.reject(closedError());
    const cancel = () => this.#transport.send({ type: 'cancel', id });
    const answer = new Promise<T>((resolve, reject) => {
      this.#transport.hold(true);
      this.#calls.set(id, { resolve: resolve as (value: unknown) => void, reject, onProgress });
      this.#transport.send({ ...command, id });
      signal?.addEventListener('abort', cancel, { once: true });
      if (signal?.aborted) cancel();
    });
    return answer.finally(() => {
      signal?.removeEventListener('abort', cancel);
      // an idle host does not keep the program running
      if (this.#calls.size === 0 && !this.#closing) this.#transport.hold(false);
    });
  }

  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    this.#transport.hold(true);
    this.#transport.send({ type: 'close' });
    const timer = setTimeout(() => this.#transport.kill(), graceMs);
    await this.#exited;
    clearTimeout(timer);
  }

  #receive(report: Report): void {
    const call = this.#calls.get(report.id);
    if (!call) return;
    if (report.type === 'progress') {
      call.onProgress?.(report.progress);
      return;
    }
    this.#calls.delete(report.id);
    if (report.type === 'done') call.resolve(report.value);
    else call.reject(this.#closing ? closedError() : ImageForgeError.fromJSON(report.error));
  }

  #rejectAll(exit: Exit): void {
    const error = this.#closing ? closedError() : this.#describeCrash(exit);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }

  #describeCrash({ reason, code, signal }: Exit): ImageForgeError {
    const lines = [...this.#tail];
    const said = lines.length > 0 ? ` It logged last:\n${lines.join('\n')}` : '';
    return new ImageForgeError(
      'ENGINE_CRASHED',
      `The engine ended in the middle of a job (${reason}).${said}`,
      {
        hint:
          signal === 'SIGKILL'
            ? 'If nobody killed it, the system ran out of memory: try a smaller size or a more quantised model.'
            : 'The next job starts a new engine. If it happens again, please report it with these lines.',
        details: { code, signal, log: lines },
      },
    );
  }
}

function closedError(): ImageForgeError {
  return new ImageForgeError('CLOSED', 'The engine has been closed.');
}

/** Waits for the earlier jobs, but not longer than until the signal fires. */
async function waitUnlessAborted(before: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  const aborted = () => new ImageForgeError('ABORTED', 'The generation was cancelled before it began.');
  if (signal?.aborted) throw aborted();
  if (!signal) {
    await before;
    return;
  }
  let onAbort = () => {};
  const abort = new Promise<never>((_, reject) => {
    onAbort = () => reject(aborted());
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([before, abort]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
