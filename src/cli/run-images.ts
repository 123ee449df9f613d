// Runs one request of the command line: progress to stderr, the saved paths (or one JSON document) to stdout.
import path from 'node:path';
import { type ImageResult, toResponse } from '../service/answers/results.js';
import type { ImageService } from '../service/image-service.js';
import type { OutputTarget } from '../service/pictures/outputs.js';
import type { ImageOperation } from '../service/request/parse.js';
import { ImageForgeError } from '../shared/errors.js';
import { type ImageOptions, readOptions } from './image-options.js';
import { cancelOnSignals, openService } from './open-service.js';
import { PreviewFile } from './preview-file.js';
import { createProgress, formatDuration, silentProgress } from './progress.js';

export async function runImages(
  operation: ImageOperation,
  prompt: string | undefined,
  options: ImageOptions,
  pictures: Record<string, string> = {},
): Promise<void> {
  if (prompt === undefined) {
    throw new ImageForgeError('INVALID_ARGUMENT', 'the prompt is missing', {
      hint: 'imageforge generate "a large red star above a small blue house"',
    });
  }
  const service = openService({ verbose: options.verbose === true });
  try {
    const result = await runOnce(
      service,
      operation,
      { ...readOptions(operation, prompt, options), ...pictures },
      options,
    );
    printResult(result, options);
  } finally {
    await service.close();
  }
}

/** Runs one request, showing progress; Ctrl-C cancels it. */
export async function runOnce(
  service: ImageService,
  operation: ImageOperation,
  fields: Record<string, unknown>,
  options: ImageOptions,
  existing?: OutputTarget['existing'],
): Promise<ImageResult> {
  const save = { ...readTarget(options), ...(existing && { existing }) };
  const preview = options.preview === undefined ? undefined : new PreviewFile(options.preview);
  const request = service.parse(operation, { ...fields, ...(preview && { preview_every: 1 }) });
  const view = options.quiet ? silentProgress : createProgress(process.stderr, request.batch);
  const { signal, release } = cancelOnSignals();
  try {
    return await service.run(request, {
      signal,
      onProgress: (progress) => {
        view.onProgress(progress);
        if (progress.preview) preview?.show(progress.preview);
      },
      save,
    });
  } finally {
    view.end();
    const failure = await preview?.end();
    if (failure && !options.quiet) process.stderr.write(`note: no preview: ${failure.message}\n`);
    release();
  }
}

/** Notes already printed: in interactive mode each is printed once. */
const told = new Set<string>();

export function printResult(result: ImageResult, options: ImageOptions): void {
  const { images, notes } = result;
  if (options.json) process.stdout.write(`${JSON.stringify(toResponse(result, 'path'), null, 2)}\n`);
  else process.stdout.write(images.map(({ path: file }) => `${file}\n`).join(''));
  if (options.quiet) return;
  process.stderr.write(`${describeResult(result)}\n`);
  printNotes(notes);
}

export function printNotes(notes: readonly string[]): void {
  for (const note of notes) {
    if (!told.has(note)) process.stderr.write(`note: ${note}\n`);
    told.add(note);
  }
}

/** pocket, 128 x 128, 20 steps, seed 42, 2.1 s */
function describeResult({ model, width, height, steps, seed, elapsedSeconds, cached }: ImageResult): string {
  const time = elapsedSeconds < 60 ? `${elapsedSeconds.toFixed(1)} s` : formatDuration(elapsedSeconds);
  return `${model}, ${width} x ${height}, ${steps} steps, seed ${seed}, ${time}${cached ? ' (from the cache)' : ''}`;
}

/** @throws ImageForgeError INVALID_ARGUMENT for options that contradict each other or name no PNG file. */
export function readTarget({
  output,
  outputDir,
  force,
}: Pick<ImageOptions, 'output' | 'outputDir' | 'force'>): OutputTarget {
  const folder = outputDir === undefined ? undefined : path.resolve(outputDir);
  if (output === undefined) {
    if (force) throw refuseOption('--force: expected --output beside it; chosen names never exist already');
    return { folder };
  }
  if (/(^|[\\/])$/.test(output))
    throw refuseOption(`--output: expected the name of a file, found ${JSON.stringify(output)}`);
  const ending = path.extname(output).toLowerCase();
  if (ending !== '' && ending !== '.png') {
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `--output: expected a name that ends in .png, found ${output}`,
      {
        hint: 'Images are written as PNG.',
      },
    );
  }
  const file = path.resolve(folder ?? '.', output);
  if (folder !== undefined && path.isAbsolute(output) && path.dirname(file) !== folder)
    throw refuseOption(`--output ${output} is not in --output-dir ${outputDir}: expected one of the two`);
  return { file, existing: force ? 'replace' : 'refuse' };
}

function refuseOption(message: string): ImageForgeError {
  return new ImageForgeError('INVALID_ARGUMENT', message);
}
