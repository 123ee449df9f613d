// Runs `imageforge upscale`: progress on stderr, the path (or one JSON document) on stdout.
import { toResponse } from '../service/answers/results.js';
import { parseUpscale } from '../service/request/upscale.js';
import { toNumber } from './image-options.js';
import { cancelOnSignals, openService } from './open-service.js';
import { createProgress, formatDuration, silentProgress } from './progress.js';
import { printNotes, readTarget } from './run-images.js';

export interface UpscaleFlags {
  model: string;
  scale?: string;
  tile?: string;
  output?: string;
  outputDir?: string;
  force?: true;
  json?: true;
  quiet?: true;
  verbose?: true;
}

export async function runUpscale(image: string, flags: UpscaleFlags): Promise<void> {
  const { model, scale, tile } = flags;
  const asked = parseUpscale({ image_path: image, model, scale: toNumber(scale), tile: toNumber(tile) });
  const save = readTarget(flags);
  const service = openService({ verbose: flags.verbose === true });
  const view = flags.quiet ? silentProgress : createProgress(process.stderr, 1);
  const { signal, release } = cancelOnSignals();
  try {
    const onProgress = view.onProgress.bind(view);
    const result = await service.run(asked, { signal, onProgress, save });
    view.end();
    if (flags.json) process.stdout.write(`${JSON.stringify(toResponse(result, 'path'), null, 2)}\n`);
    const [image] = result.images;
    if (!flags.json) process.stdout.write(`${image.path}\n`);
    const { width, height, source_width, source_height, elapsed_s } = image.metadata;
    if (flags.quiet) return;
    process.stderr.write(
      `${image.metadata.model}, ${source_width} x ${source_height} to ${width} x ${height}, ${elapsed_s < 60 ? `${elapsed_s.toFixed(1)} s` : formatDuration(elapsed_s)}\n`,
    );
    printNotes(result.notes);
  } finally {
    view.end();
    release();
    await service.close();
  }
}
