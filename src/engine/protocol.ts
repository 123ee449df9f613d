// The messages between the engine's client and its host. They are plain data; pixels are a Uint8Array.
import type { ModelFiles } from '../families/types.js';
import type { Memory } from '../native/addon.js';
import type {
  PipelineRequest,
  PipelineResult,
  Progress,
  UpscaledPixels,
  UpscaleRequest,
} from '../pipeline/types.js';
import type { SerializedError } from '../shared/errors.js';
import type { MemoryChoice } from '../shared/memory-modes.js';

/** How the host makes its engine. Fixed for the lifetime of a host. */
export interface HostOptions {
  /** An id or a kind from devices(). Default: the first GPU, else 'cpu'. */
  device?: string;
  threads?: number;
  flashAttention?: boolean;
  /** URL of a module whose loadAddon() returns the addon. Default: the package's own. */
  binding?: string;
}

export interface HostStatus {
  /** The device that the engine runs on; null before the first job. */
  device: string | null;
  /** The model in memory. */
  model: ModelFiles | null;
  memory: Memory | null;
  /** Resident bytes of the host's process, or of the whole program if the host is a thread. */
  rss: number;
  /** Highest value of rss so far. */
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
  | { type: 'done'; id: number; value: PipelineResult | UpscaledPixels | HostStatus | null }
  | { type: 'failed'; id: number; error: SerializedError };

/** Log lines go through the host's stderr, which survives a crash. Each line starts with its level. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export function formatLogLine(level: LogLevel, message: string): string {
  return `${level}: ${message.trimEnd().replaceAll('\n', '\n  ')}\n`;
}

export function parseLogLine(line: string): { level: LogLevel; message: string } {
  const match = /^(debug|info|warn|error): (.*)$/.exec(line);
  return match ? { level: match[1] as LogLevel, message: match[2]! } : { level: 'warn', message: line };
}
