// The state of the engine, the timer and the line in the one JSON form that HTTP and MCP give.
import type { ServiceStatus } from './image-service.js';

export interface StatusDescription {
  loaded: boolean;
  /** Key or path of the model in memory. */
  model: string | null;
  default_model: string;
  state: 'stopped' | 'idle' | 'busy';
  device: string | null;
  /** Idle seconds after which the model is unloaded; 0 = never. */
  timeout_seconds: number;
  /** null while nothing is loaded, while it works, or without a timeout. */
  seconds_until_unload: number | null;
  last_access: string | null;
  memory: { weights: number; compute: number; device_free: number } | null;
  engine_pid: number | null;
  engine_rss: number;
  queue: { waiting: number; running: boolean; limit: number };
  output_dir: string;
}

export function describeStatus(status: ServiceStatus): StatusDescription {
  const { loaded, loadedModel, defaultModel, engine, timeoutSeconds, secondsLeft, lastUsed } = status;
  const { memory } = engine;
  return {
    loaded,
    model: loadedModel,
    default_model: defaultModel,
    state: engine.state,
    device: engine.device,
    timeout_seconds: timeoutSeconds,
    seconds_until_unload: secondsLeft === null ? null : Math.round(secondsLeft * 10) / 10,
    last_access: lastUsed?.toISOString() ?? null,
    memory: memory && { weights: memory.weights, compute: memory.compute, device_free: memory.deviceFree },
    engine_pid: engine.pid,
    engine_rss: engine.rss,
    queue: status.queue,
    output_dir: status.outputDir,
  };
}
