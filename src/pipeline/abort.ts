// Cancelling: between native calls the signal is checked; during one the engine is told to stop.
import type { Engine } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ImageForgeError('ABORTED', 'The generation was cancelled.');
}

/** Runs `work`; meanwhile the signal stops what the engine computes. */
export async function withAbort<T>(
  engine: Engine,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const abort = () => engine.abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await work();
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}
