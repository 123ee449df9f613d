// The one engine: its queue, its lifetime, and the model that it has in memory.
import { EngineClient } from '../engine/client.js';
import type { ModelFiles } from '../families/types.js';
import type { Config } from '../shared/config.js';
import type { Logger } from '../shared/log.js';
import { JobQueue } from './jobs/queue.js';
import type { RunControls } from './jobs/run-controls.js';
import { Lifecycle, type LifecycleStatus } from './lifecycle.js';

/** The model that a piece of work needs. */
export interface NeededModel {
  /** Key or path, as requests name it. */
  key: string;
  files: ModelFiles;
  /** Identity of every weight file by its path, as the files are now. */
  identities: ReadonlyMap<string, string>;
}

export interface EngineRoomStatus extends LifecycleStatus {
  /** Key or path of the model in memory. */
  loadedModel: string | null;
  queue: { waiting: number; running: boolean; limit: number };
}

/** How a piece of work waits in the queue. */
type Turn = { [Name in 'signal' | 'priority' | 'onPosition']?: RunControls[Name] | undefined };

/** How long the engine may take to end after a server's grace period. */
const ENGINE_END_MS = 1000;

export class EngineRoom {
  readonly #queue: JobQueue;
  readonly #lifecycle: Lifecycle;
  readonly #client: EngineClient;
  /** The model in the engine's memory, with its files as they were when it was loaded. */
  #loaded: { key: string; affinity: string; identities: ReadonlyMap<string, string> } | undefined;

  constructor(config: Config, logger: Logger, client = createClient(config, logger)) {
    this.#client = client;
    this.#queue = new JobQueue({ limit: config.queueLimit });
    this.#lifecycle = new Lifecycle(client, config.unloadTimeout, logger);
  }

  get queueLimit(): number {
    return this.#queue.limit;
  }

  /** The engine's process; null while there is none. */
  get pid(): number | null {
    return this.#client.pid;
  }

  /** Makes a plan from the files' headers, without starting an engine. */
  plan(files: ModelFiles): ReturnType<EngineClient['plan']> {
    return this.#client.plan(files);
  }

  /** Runs `work` when its turn comes. Unloads first if a file of the model was replaced. */
  useModel<T>(model: NeededModel, turn: Turn, work: (client: EngineClient) => Promise<T>): Promise<T> {
    const affinity = affinityOf(model.files);
    return this.use(affinity, turn, async (client) => {
      await this.#noteModel(model, affinity, client);
      return work(client);
    });
  }

  /** As useModel(), for work without a model. The queue groups work of the same affinity where that saves loading. */
  use<T>(affinity: string, turn: Turn, work: (client: EngineClient) => Promise<T>): Promise<T> {
    return this.#queue.add({ ...turn, affinity, run: () => this.#lifecycle.use(work) });
  }

  /** Ends the engine's process after the running job. Returns whether there was one. */
  async unload(): Promise<boolean> {
    this.#loaded = undefined;
    return this.#lifecycle.unload();
  }

  /** Sets the idle seconds until the engine is unloaded; 0 means never. */
  setTimeout(seconds: number): void {
    this.#lifecycle.setTimeout(seconds);
  }

  async status(): Promise<EngineRoomStatus> {
    const lifecycle = await this.#lifecycle.status();
    const { model } = lifecycle.engine;
    const { waiting, running, limit } = this.#queue;
    const isOurs = model !== null && this.#loaded?.affinity === affinityOf(model);
    return {
      ...lifecycle,
      loadedModel: isOurs ? this.#loaded!.key : (model?.model ?? null),
      queue: { waiting, running, limit },
    };
  }

  /** Refuses waiting work, gives the running job `graceMs` to finish (default: none), then ends the engine. */
  async close(graceMs = 0): Promise<void> {
    const drained = this.#queue.close();
    if (graceMs > 0)
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, graceMs).unref())]);
    // An engine in the middle of a long step does not react to a polite request.
    await this.#lifecycle.close(graceMs > 0 ? ENGINE_END_MS : undefined);
    await drained;
  }

  /** Notes what is loaded. Unloads first if a file was replaced, so that no picture is drawn with its old weights. */
  async #noteModel({ key, identities }: NeededModel, affinity: string, client: EngineClient): Promise<void> {
    const before = this.#loaded?.affinity === affinity ? this.#loaded.identities : noFiles;
    const replaced = [...identities].some(([file, now]) => (before.get(file) ?? now) !== now);
    if (replaced) await client.unload();
    const known = replaced ? identities : new Map([...before, ...identities]);
    this.#loaded = { key, affinity, identities: known };
  }
}

const noFiles: ReadonlyMap<string, string> = new Map();

function affinityOf(files: ModelFiles): string {
  return JSON.stringify(files);
}

function createClient({ device, threads }: Config, logger: Logger): EngineClient {
  return new EngineClient({
    ...(device !== 'auto' && { device }),
    ...(threads > 0 && { threads }),
    onLog: (level, message) => logger[level]({ from: 'engine' }, message),
  });
}
