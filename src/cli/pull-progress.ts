// Download progress on stderr: on a terminal a bar with speed and time left, otherwise a line every few seconds.
import type { PullProgress } from '../registry/pull.js';
import { formatDuration, type ProgressTarget } from './progress.js';
import { formatBytes } from './table.js';

export interface PullView {
  onProgress(progress: PullProgress): void;
  /** Clears the bar; nothing is drawn afterwards. */
  end(): void;
}

const BAR_WIDTH = 24;
const REDRAW_MS = 100;
const LINE_MS = 5000;
/** Speed is averaged over this window. */
const SPEED_WINDOW_MS = 10_000;

export function createPullView(target: ProgressTarget, now = () => performance.now()): PullView {
  const interval = target.isTTY ? REDRAW_MS : LINE_MS;
  const speed = new Speedometer(now);
  let drawnAt = Number.NEGATIVE_INFINITY;
  let drawn = '';
  const onProgress = (progress: PullProgress) => {
    const { phase, file, index, files, bytes, size } = progress;
    const label = `${phase} ${file}`;
    const isSame = label === drawn;
    const rate = speed.measure(label, bytes);
    if (isSame && bytes < size && now() - drawnAt < interval) return;
    drawn = label;
    drawnAt = now();
    const which = files > 1 ? `${index}/${files} ` : '';
    const percent = `${Math.floor((bytes / size) * 100)}%`;
    const left =
      rate > 0 && bytes < size
        ? `  ${formatBytes(rate)}/s  ${formatDuration((size - bytes) / rate)} left`
        : '';
    const what = `${which}${file}${phase === 'verify' ? ' (checking)' : ''}`;
    const amount = `${percent} of ${formatBytes(size)}${left}`;
    if (target.isTTY) {
      const filled = Math.round((bytes / size) * BAR_WIDTH);
      const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
      target.write(`\r${`${what} ${bar} ${amount}`.slice(0, (target.columns || 80) - 1)}\x1b[K`);
    } else {
      target.write(`${what}  ${amount}\n`);
    }
  };
  return { onProgress, end: () => target.isTTY && target.write('\r\x1b[K') };
}

class Speedometer {
  #label = '';
  #samples: { at: number; bytes: number }[] = [];

  constructor(private readonly now: () => number) {}

  /** Bytes per second; 0 while unknown. */
  measure(label: string, bytes: number): number {
    const at = this.now();
    if (label !== this.#label) this.#samples = [];
    this.#label = label;
    const last = this.#samples.at(-1);
    if (!last || at - last.at >= REDRAW_MS) this.#samples.push({ at, bytes });
    while (at - this.#samples[0]!.at > SPEED_WINDOW_MS && this.#samples.length > 2) this.#samples.shift();
    const first = this.#samples[0]!;
    const seconds = (at - first.at) / 1000;
    return seconds > 0 ? Math.max(0, bytes - first.bytes) / seconds : 0;
  }
}
