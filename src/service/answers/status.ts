// The state of engine, timer and queue, in the one JSON form that HTTP and MCP share.
import { z } from 'zod';
import type { ServiceStatus } from '../image-service.js';

export const statusSchema = z.object({
  loaded: z.boolean(),
  model: z.string().nullable().describe('Key or path of the model in memory'),
  default_model: z.string(),
  state: z.enum(['stopped', 'idle', 'busy']),
  device: z.string().nullable(),
  timeout_seconds: z.number().describe('Idle seconds after which the model is unloaded; 0 = never'),
  seconds_until_unload: z
    .number()
    .nullable()
    .describe('null while nothing is loaded, while it is working, or without a timeout'),
  last_access: z.string().nullable(),
  memory: z
    .object({
      weights: z.number(),
      mapped: z
        .number()
        .describe('Weights used in place from their files: resident only while they are read'),
      compute: z.number(),
      scratch: z.number(),
      device_free: z.number(),
    })
    .nullable()
    .describe('Bytes'),
  engine_pid: z.int().nullable(),
  engine_rss: z.number().describe("Resident bytes of the engine's process"),
  queue: z.object({ waiting: z.int(), running: z.boolean(), limit: z.int() }),
  output_dir: z.string(),
});

/** The longest timeout that clients may set: a week. */
export const MAX_TIMEOUT_SECONDS = 7 * 24 * 3600;
export const timeoutSchema = z.object({
  timeout_seconds: z.number().min(0).max(MAX_TIMEOUT_SECONDS).describe('Idle seconds; 0 = never'),
});

export function describeStatus(status: ServiceStatus): z.infer<typeof statusSchema> {
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
    memory: memory && {
      weights: memory.weights,
      mapped: memory.mapped,
      compute: memory.compute,
      scratch: memory.scratch,
      device_free: memory.deviceFree,
    },
    engine_pid: engine.pid,
    engine_rss: engine.rss,
    queue: status.queue,
    output_dir: status.outputDir,
  };
}
