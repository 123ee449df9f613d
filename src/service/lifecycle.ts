// The engine's lifetime: it starts with the first request and ends after some idle time, which frees all of its memory.
// The timeout can be changed while it runs.
import type { EngineClient, EngineStatus } from '../engine/client.js';
import type { Logger } from '../shared/log.js';

export interface LifecycleStatus {
  /** Idle seconds until the engine is unloaded; 0 means never. */
  timeoutSeconds: number;
  /** Seconds left until then; null while nothing is loaded, while it is working, or without a timeout. */
  secondsLeft: number | null;
  lastUsed: Date | null;
  loaded: boolean;
  engine: EngineStatus;
}

export class Lifecycle {
  readonly #client: EngineClient;
  readonly #logger: Logger;
  #timeoutSeconds: number;
  #timer: NodeJS.Timeout | undefined;
  #deadline: number | undefined;
  #lastUsed: Date | null = null;
  #users = 0;

  constructor(client: EngineClient, timeoutSeconds: number, logger: Logger) {
    this.#client = client;
    this.#timeoutSeconds = timeoutSeconds;
    this.#logger = logger;
  }

  get client(): EngineClient {
    return this.#client;
  }

  /** Keeps the engine while `work` runs; the idle time starts when the last user is done. */
  async use<T>(work: (client: EngineClient) => Promise<T>): Promise<T> {
    this.#users++;
    this.#stopTimer();
    try {
      return await work(this.#client);
    } finally {
      this.#users--;
      this.#lastUsed = new Date();
      this.#startTimer();
    }
  }

  /** Takes effect at once: the idle time so far counts towards the new timeout. */
  setTimeout(seconds: number): void {
    this.#timeoutSeconds = seconds;
    this.#startTimer();
  }

  /** Ends the engine's process after the running job. Returns whether there was one. */
  async unload(): Promise<boolean> {
    this.#stopTimer();
    const loaded = this.#client.pid !== null;
    await this.#client.unload();
    return loaded;
  }

  /** Ends the engine, by force after `graceMs` (default: the client's own). */
  async close(graceMs?: number): Promise<void> {
    this.#stopTimer();
    await this.#client.close(graceMs);
  }

  async status(): Promise<LifecycleStatus> {
    const engine = await this.#client.status();
    return {
      timeoutSeconds: this.#timeoutSeconds,
      secondsLeft: this.#deadline === undefined ? null : Math.max(0, (this.#deadline - Date.now()) / 1000),
      lastUsed: this.#lastUsed,
      loaded: engine.model !== null,
      engine,
    };
  }

  #startTimer(): void {
    this.#stopTimer();
    if (this.#users > 0 || this.#timeoutSeconds === 0 || this.#lastUsed === null || this.#client.pid === null)
      return;
    this.#deadline = this.#lastUsed.getTime() + this.#timeoutSeconds * 1000;
    this.#timer = setTimeout(() => void this.#expire(), Math.max(0, this.#deadline - Date.now()));
    this.#timer.unref();
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#deadline = undefined;
  }

  async #expire(): Promise<void> {
    this.#deadline = undefined;
    if (this.#users > 0) return;
    this.#logger.info({ seconds: this.#timeoutSeconds }, 'unloading the idle model');
    try {
      await this.#client.unload();
    } catch (error) {
      this.#logger.error({ error }, 'unloading failed');
    }
  }
}
