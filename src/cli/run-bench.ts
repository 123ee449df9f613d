// Runs `imageforge bench`: progress on stderr, figures on stdout.
import { type BenchResult, benchModel } from '../service/bench.js';
import { ImageForgeError } from '../shared/errors.js';
import type { BenchFlags } from './bench-flags.js';
import { toNumber } from './image-options.js';
import { cancelOnSignals, openService } from './open-service.js';
import { createProgress, silentProgress } from './progress.js';
import { formatBytes, formatTable } from './table.js';

const MAX_RUNS = 100;

export async function runBench(flags: BenchFlags): Promise<void> {
  const runs = toNumber(flags.runs);
  if (typeof runs !== 'number' || !Number.isInteger(runs) || runs < 1 || runs > MAX_RUNS)
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `--runs: expected a whole number from 1 to ${MAX_RUNS}, found ${flags.runs}`,
    );
  const service = openService();
  const view = flags.quiet ? silentProgress : createProgress(process.stderr, 1);
  const { signal, release } = cancelOnSignals();
  try {
    const fields = {
      model: flags.model,
      steps: toNumber(flags.steps),
      guidance: toNumber(flags.guidance),
      width: toNumber(flags.width),
      height: toNumber(flags.height),
    };
    const result = await benchModel(service, fields, {
      runs,
      signal,
      onProgress: (progress) => view.onProgress(progress),
    });
    view.end();
    process.stdout.write(flags.json ? `${JSON.stringify(result, null, 2)}\n` : describe(result));
  } finally {
    view.end();
    release();
    await service.close();
  }
}

function describe(result: BenchResult): string {
  const { model, device, width, height, steps, guidance, runs } = result;
  const seconds = (value: number | null) => (value === null ? '-' : `${value.toPrecision(3)} s`);
  const rate = result.step_s ? ` (${(1 / result.step_s).toPrecision(3)} it/s)` : '';
  return formatTable([
    ['Model', `${model} on ${device}, ${width} x ${height}, ${steps} steps, guidance ${guidance}`],
    ['Ready', `${seconds(result.ready_s)} from nothing to the first step`],
    ['Load', seconds(result.load_s)],
    ['Prompt', seconds(result.prompt_s)],
    ['Step', `${seconds(result.step_s)}${rate}`],
    ['Decode', seconds(result.decode_s)],
    ['Picture', `${seconds(result.total_s)}, median of ${runs}`],
    ['Peak memory', formatBytes(result.peak_memory)],
  ]);
}
