// Runs `imageforge convert`: progress on stderr, the path (or one JSON document) on stdout.
import { convertModel } from '../families/convert-model.js';
import type { ConvertProgress, ConvertResult } from '../weights/convert.js';
import { readTensorRule } from '../weights/convert-rules.js';
import { cancelOnSignals } from './open-service.js';
import { formatDuration, type ProgressTarget } from './progress.js';
import { formatBytes } from './table.js';

export interface ConvertSettings {
  type: string;
  tensorTypes: readonly string[];
  force: boolean;
  quiet: boolean;
  json: boolean;
}

export async function runConvert(input: string, output: string, settings: ConvertSettings): Promise<void> {
  const rules = settings.tensorTypes.map(readTensorRule);
  const started = performance.now();
  const progress = settings.quiet ? undefined : new ConvertBar(process.stderr);
  const { signal, release } = cancelOnSignals();
  let result: ConvertResult;
  try {
    result = await convertModel({
      input,
      output,
      type: settings.type,
      rules,
      force: settings.force,
      signal,
      ...(progress && { onProgress: (now: ConvertProgress) => progress.show(now) }),
    });
  } finally {
    progress?.end();
    release();
  }
  process.stdout.write(
    settings.json ? `${JSON.stringify({ ok: true, ...result }, null, 2)}\n` : `${output}\n`,
  );
  if (!settings.quiet) process.stderr.write(describe(result, (performance.now() - started) / 1000));
}

function describe({ bytes, types, leftOut }: ConvertResult, seconds: number): string {
  const parts = types.map(({ type, tensors }) => `${tensors} ${type}`).join(', ');
  const note =
    leftOut.length > 0
      ? `note: ${leftOut.length} tensors that GGUF cannot store were left out: ${leftOut.slice(0, 3).join(', ')}${leftOut.length > 3 ? ', …' : ''}\n`
      : '';
  return `${formatBytes(bytes)}, ${parts}, ${formatDuration(seconds)}\n${note}`;
}

const LABELS: Record<ConvertProgress['phase'], string> = { hash: 'reading', convert: 'converting' };
/** Milliseconds between redraws. */
const INTERVAL = 100;

/** On a terminal a percentage that updates in place, otherwise one line per phase. */
class ConvertBar {
  #phase: string | undefined;
  #drawn = 0;

  constructor(private readonly target: ProgressTarget) {}

  show({ phase, done, total }: ConvertProgress): void {
    const begins = phase !== this.#phase;
    this.#phase = phase;
    if (!this.target.isTTY) {
      if (begins) this.target.write(`${LABELS[phase]} ${formatBytes(total)}\n`);
      return;
    }
    const now = performance.now();
    if (!begins && done < total && now - this.#drawn < INTERVAL) return;
    this.#drawn = now;
    const share = total > 0 ? Math.floor((done / total) * 100) : 100;
    this.target.write(`\r${LABELS[phase]} ${share} % of ${formatBytes(total)}\x1b[K`);
  }

  end(): void {
    if (this.target.isTTY) this.target.write('\r\x1b[K');
  }
}
