// Takes one picture through an upscaler, from its source to the saved file.
import path from 'node:path';
import type { UpscaleResult } from './answers/results.js';
import type { RunControls } from './jobs/run-controls.js';
import { encodePng, resizePicture } from './pictures/codec.js';
import { describeUpscaled } from './pictures/metadata.js';
import {
  chooseFolder,
  describeOtherNames,
  prepareFolder,
  requireFree,
  savePicture,
} from './pictures/outputs.js';
import { insertPngText } from './pictures/png-text.js';
import type { PictureSource } from './pictures/source.js';
import { formatFileTime } from './pictures/times.js';
import { prepareUpscale, type UpscaleRequest } from './request/upscale.js';
import type { Workshop } from './workshop.js';

/** @throws ImageForgeError of any code; nothing is left half-written. */
export async function makeLarger(
  asked: UpscaleRequest,
  { signal, priority, onPosition, onProgress, save = {} }: RunControls,
  { config, confine, preparing, engine }: Workshop,
): Promise<UpscaleResult> {
  const prepared = await preparing(() => prepareUpscale(asked, config, confine));
  const { file, pixels, tile, size, parameters } = prepared;
  await requireFree(save);
  const folder = chooseFolder(save, config);
  if (save.enabled !== false) await prepareFolder(folder, size.width * size.height * 4);
  signal?.throwIfAborted();
  const { image, seconds } = await engine.use(file, { signal, priority, onPosition }, async (client) => {
    const begun = performance.now();
    const { image } = await client.upscale(
      { model: file, image: pixels, ...(tile !== undefined && { tile }) },
      { ...(signal && { signal }), ...(onProgress && { onProgress }) },
    );
    return { image, seconds: Math.round(performance.now() - begun) / 1000 };
  });
  const encoded = await encodePng(await resizePicture(image, size));
  const png = parameters === undefined ? encoded : insertPngText(encoded, { parameters });
  const metadata = describeUpscaled(prepared, seconds);
  const saved = await savePicture(png, metadata, { ...save, folder }, nameUpscaled(asked.image));
  const notes = describeOtherNames(save, [saved]);
  return { task: 'upscale', elapsedSeconds: seconds, cached: false, images: [saved], notes };
}

/** The base name, without extension, of a result that the caller did not name. */
function nameUpscaled(image: PictureSource): string {
  return 'path' in image
    ? `${path.parse(image.path).name}_upscaled`
    : `upscaled_${formatFileTime(new Date())}`;
}
