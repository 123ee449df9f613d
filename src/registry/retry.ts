// Repeats what failed for a reason that may pass, with growing pauses, until several tries in a row made no progress.
import { setTimeout as sleep } from 'node:timers/promises';
import { failed, Temporary } from './hub-request.js';

export interface RetryOptions {
  /** How many tries in a row may fail. */
  tries?: number;
  signal?: AbortSignal | undefined;
  wait?: (ms: number, signal?: AbortSignal) => Promise<void>;
}

const TRIES = 8;
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;
/** If a server asks for a longer pause than this, we give up. */
const MOST_PATIENCE_MS = 300_000;

export const waitMs = async (ms: number, signal?: AbortSignal): Promise<void> => {
  await sleep(ms, undefined, signal && { signal });
};

/**
 * Runs `attempt` until it succeeds. If one made progress before it failed, the count starts again.
 * @throws what `attempt` throws, other than Temporary; ImageForgeError DOWNLOAD_FAILED after too many tries.
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  { tries = TRIES, signal, wait = waitMs }: RetryOptions,
  madeProgress: () => boolean = () => false,
): Promise<T> {
  for (let failures = 0; ; ) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Temporary)) throw error;
      failures = madeProgress() ? 1 : failures + 1;
      if (failures >= tries || error.retryAfterMs > MOST_PATIENCE_MS) {
        const after = error.retryAfterMs > MOST_PATIENCE_MS ? '' : ` (tried ${failures} times)`;
        throw failed(`${error.message}${after}.`, {
          hint: 'Run the same command again later: what has arrived is kept.',
          cause: error,
        });
      }
      const pause = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
      // connections that broke together should not all come back together
      await wait(Math.max(error.retryAfterMs, pause * (0.75 + Math.random() / 4)), signal);
    }
  }
}
