// Progress on stderr: a bar with step, speed and time left on a terminal, one line a phase otherwise.
import type { Phase, Progress } from '../service/image-service.js';

export interface ProgressView {
  onProgress(progress: Progress): void;
  onPosition(position: number): void;
  /** Clears the bar; nothing is drawn afterwards. */
  end(): void;
}

export interface ProgressTarget {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export function createProgress(
  target: ProgressTarget,
  images: number,
  now = () => performance.now(),
): ProgressView {
  return target.isTTY ? new Bar(target, images, now) : new Lines(target, images);
}

export const silentProgress: ProgressView = { onProgress: () => {}, onPosition: () => {}, end: () => {} };

const LABELS: Record<Phase, string> = {
  load: 'loading',
  encode: 'prompt',
  denoise: 'steps',
  decode: 'decoding',
  upscale: 'upscaling',
};
const BAR_WIDTH = 28;
/** Redrawing more often than the eye sees slows fast steps down. */
const MIN_INTERVAL = 40;

class Bar implements ProgressView {
  #started: number | undefined;
  #startedAt = 0;
  #drawn = Number.NEGATIVE_INFINITY;
  #phase: string | undefined;

  constructor(
    private readonly target: ProgressTarget,
    private readonly images: number,
    private readonly now: () => number,
  ) {}

  onProgress({ phase, image, step, steps }: Progress): void {
    const last = step > 0 && step === steps;
    const label = `${phase}/${image}`;
    if (label === this.#phase && !last && this.now() - this.#drawn < MIN_INTERVAL) return;
    this.#phase = label;
    const which = this.images > 1 ? ` ${image + 1}/${this.images}` : '';
    if ((phase !== 'denoise' && phase !== 'upscale') || steps === 0) {
      this.#draw(`${LABELS[phase]}${which} …`);
      return;
    }
    const done = image * steps + step;
    const total = this.images * steps;
    if (this.#started === undefined || done < this.#started) {
      this.#started = done;
      this.#startedAt = this.now();
    }
    const filled = Math.round((step / steps) * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    this.#draw(`${LABELS[phase]}${which} ${bar} ${step}/${steps}${this.#describeSpeed(done, total)}`);
  }

  onPosition(position: number): void {
    this.#draw(`waiting, place ${position} …`);
  }

  end(): void {
    this.target.write('\r\x1b[K');
  }

  #describeSpeed(done: number, total: number): string {
    const seconds = (this.now() - this.#startedAt) / 1000;
    const steps = done - (this.#started ?? done);
    if (steps <= 0 || seconds <= 0) return '';
    const speed = steps / seconds;
    const rate = speed >= 1 ? `${speed.toFixed(1)} it/s` : `${(1 / speed).toFixed(1)} s/it`;
    return `  ${rate}  ${formatDuration((total - done) / speed)} left`;
  }

  #draw(text: string): void {
    this.#drawn = this.now();
    const columns = this.target.columns || 80;
    this.target.write(`\r${text.slice(0, columns - 1)}\x1b[K`);
  }
}

class Lines implements ProgressView {
  #last = '';

  constructor(
    private readonly target: ProgressTarget,
    private readonly images: number,
  ) {}

  onProgress({ phase, image, steps }: Progress): void {
    const which =
      this.images > 1 && phase !== 'load' && phase !== 'encode' ? ` ${image + 1}/${this.images}` : '';
    this.#print(`${LABELS[phase]}${which}${phase === 'denoise' ? ` (${steps})` : ''}`);
  }

  onPosition(position: number): void {
    this.#print(`waiting, place ${position}`);
  }

  end(): void {}

  #print(line: string): void {
    if (line === this.#last) return;
    this.#last = line;
    this.target.write(`${line}\n`);
  }
}

/** 7 s, 1:05, 1:02:09 */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const pad = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(whole / 60);
  const rest = pad(whole % 60);
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${rest}`;
}
