// What crosses the border between the engine's client and its host. Plain data: pixels travel as Uint8Array.
import type { ModelFiles } from '../families/types.js';
import type { Memory } from '../native/addon.js';
import type {
  PipelineRequest,
  PipelineResult,
  Progress,
  UpscaleRequest,
  UpscaleResult,
} from '../pipeline/types.js';
import type { SerializedError } from '../shared/errors.js';
import type { MemoryChoice } from '../shared/memory-modes.js';

/** How the host makes its engine; fixed for the life of a host. */
export interface HostOptions {
  /** An id or a kind from devices(); default: the first GPU, else 'cpu'. */
  device?: string;
  threads?: number;
  flashAttention?: boolean;
  /** URL of a module whose loadAddon() gives the addon; default: the package's own. */
  binding?: string;
}

export interface HostStatus {
  /** Device that the engine runs on; null before the first job. */
  device: string | null;
  /** The model in memory. */
  model: ModelFiles | null;
  memory: Memory | null;
  /** Resident bytes of the host's process (of the whole program when it is a thread). */
  rss: number;
  /** The most that it has been. */
  peakRss: number;
}

/** Client to host. `start` comes first and once; answers carry the command's id. */
export type Command =
  | { type: 'start'; options: HostOptions }
  | { type: 'run'; id: number; request: PipelineRequest }
  | { type: 'upscale'; id: number; request: UpscaleRequest }
  | { type: 'load'; id: number; model: ModelFiles; memoryMode: MemoryChoice }
  | { type: 'status'; id: number }
  | { type: 'cancel'; id: number }
  | { type: 'close' };

/** Host to client. */
export type Report =
  | { type: 'progress'; id: number; progress: Progress }
  | { type: 'done'; id: number; value: PipelineResult | UpscaleResult | HostStatus | null }
  | { type: 'failed'; id: number; error: SerializedError };

/** Log lines go over the host's stderr, which outlives a crash; each begins with its level. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export function formatLogLine(level: LogLevel, message: string): string {
  return `${level}: ${message.trimEnd().replaceAll('\n', '\n  ')}\n`;
}

export function parseLogLine(line: string): { level: LogLevel; message: string } {
  const match = /^(debug|info|warn|error): (.*)$/.exec(line);
  return match ? { level: match[1] as LogLevel, message: match[2]! } : { level: 'warn', message: line };
}
