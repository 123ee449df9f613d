// Progress on stderr: on a terminal a bar with step, speed and time left, otherwise one line per phase.
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
/** Milliseconds. Redrawing faster than the eye can see would slow down fast steps. */
const MIN_INTERVAL = 40;

class Bar implements ProgressView {
  /** The step count and time at which this pass began. Speed is measured per pass, since steps differ between passes. */
  #begun = { of: '', count: 0, at: 0 };
  #drawn = Number.NEGATIVE_INFINITY;
  #phase: string | undefined;

  constructor(
    private readonly target: ProgressTarget,
    private readonly images: number,
    private readonly now: () => number,
  ) {}

  onProgress(progress: Progress): void {
    const { phase, image, step, steps, pass, passes, done } = progress;
    const last = step > 0 && step === steps;
    const label = `${phase}/${image}/${pass}`;
    if (label === this.#phase && !last && this.now() - this.#drawn < MIN_INTERVAL) return;
    this.#phase = label;
    const second = phase === 'denoise' && pass > 1 ? ` (pass ${pass}/${passes})` : '';
    const which = `${this.images > 1 ? ` ${image + 1}/${this.images}` : ''}${second}`;
    if ((phase !== 'denoise' && phase !== 'upscale') || steps === 0) {
      this.#draw(`${LABELS[phase]}${which} …`);
      return;
    }
    const count = phase === 'denoise' ? done : image * steps + step;
    if (this.#begun.of !== `${phase}/${pass}`)
      this.#begun = { of: `${phase}/${pass}`, count, at: this.now() };
    const filled = Math.round((step / steps) * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    this.#draw(
      `${LABELS[phase]}${which} ${bar} ${step}/${steps}${this.#describeSpeed(count, this.images * steps - (image * steps + step))}`,
    );
  }

  onPosition(position: number): void {
    this.#draw(`waiting, place ${position} …`);
  }

  end(): void {
    this.target.write('\r\x1b[K');
  }

  /** The time left covers this pass only: how long a step of the next one takes is not known yet. */
  #describeSpeed(count: number, left: number): string {
    const seconds = (this.now() - this.#begun.at) / 1000;
    const steps = count - this.#begun.count;
    if (steps <= 0 || seconds <= 0) return '';
    const speed = steps / seconds;
    const rate = speed >= 1 ? `${speed.toFixed(1)} it/s` : `${(1 / speed).toFixed(1)} s/it`;
    return `  ${rate}  ${formatDuration(left / speed)} left`;
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

/** For example "7 s", "1:05" or "1:02:09". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const pad = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(whole / 60);
  const rest = pad(whole % 60);
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${rest}`;
}
