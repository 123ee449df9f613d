// Takes one request for pictures from the prompt to the saved files: prepare, look in the cache, draw, save.
import type { PipelineResult } from '../pipeline/types.js';
import type { Config } from '../shared/config.js';
import { type Seed, seedOf } from '../shared/seed.js';
import { shorten } from '../text/prompt-marks.js';
import { hasChoices } from '../text/wildcards.js';
import type { ImageResult, ResultImage } from './answers/results.js';
import type { RunControls } from './jobs/run-controls.js';
import { type CachedPicture, cacheKey } from './pictures/cache.js';
import { encodePng } from './pictures/codec.js';
import { describePicture, type ImageMetadata } from './pictures/metadata.js';
import {
  chooseFolder,
  describeOtherNames,
  type OutputTarget,
  prepareFolder,
  requireFree,
  savePicture,
} from './pictures/outputs.js';
import { formatParameters } from './pictures/parameters.js';
import { insertPngText } from './pictures/png-text.js';
import { formatFileTime } from './pictures/times.js';
import { invalid } from './request/fields.js';
import type { ImageRequest } from './request/parse.js';
import { type PreparedRequest, prepareRequest } from './request/prepare.js';
import type { Workshop } from './workshop.js';

interface Drawn {
  pictures: CachedPicture[];
  /** By phase; null if the pictures come from the cache. */
  seconds: PipelineResult['seconds'] | null;
}

/** @throws ImageForgeError of any code; nothing is left half-written. */
export async function makeImages(
  asked: ImageRequest,
  controls: RunControls,
  workshop: Workshop,
): Promise<ImageResult> {
  const begun = performance.now();
  const { signal, save = {} } = controls;
  const { request: wanted, reason } = await expandPrompt(asked, workshop, signal);
  const prepared = await workshop.preparing(() => prepareRequest(wanted, workshop));
  const { request, size } = prepared;
  await requireFree(save, request.batch);
  const folder = chooseFolder(save, workshop.config);
  const needed = request.batch * (size.width * size.height * 4 + 2 ** 16);
  if (save.enabled !== false) await prepareFolder(folder, needed);
  signal?.throwIfAborted();
  controls.onPrompt?.(request.prompt);

  const seeds = Array.from({ length: request.batch }, (_, i) => seedOf(request.seed, i));
  const { useCache } = wanted;
  const keys = listCacheKeys(prepared, seeds, workshop);
  const known = useCache && wanted.seed !== undefined ? await readCache(keys, workshop) : undefined;
  const made = known ?? (await draw(prepared, controls, workshop));
  if (!known && useCache)
    for (const [i, picture] of made.pictures.entries()) await workshop.cache.put(keys[i]!, picture);

  const changed = wanted.prompt !== asked.prompt || prepared.expanded;
  const facts = {
    elapsedSeconds: round((performance.now() - begun) / 1000),
    cached: known !== undefined,
    assisted: wanted.prompt !== asked.prompt,
    originalPrompt: changed ? asked.prompt : null,
    originalNegativePrompt: prepared.expanded ? asked.negativePrompt : null,
    notes: [
      ...(reason === undefined ? [] : [`The prompt was not expanded: ${reason}.`]),
      ...(made.pictures[0]?.facts.notes ?? []),
      ...prepared.notes,
      ...(asked.unknown ?? []).map(
        (name) => `${shorten(name)} has no effect: ${asked.operation} has no such field.`,
      ),
    ],
  };
  const images: ResultImage[] = [];
  const prefix = choosePrefix(prepared.plan.family, workshop.config);
  for (const [i, { png }] of made.pictures.entries()) {
    const drawn = { ...prepared, request: { ...request, ...request.pictures?.[i] } };
    const metadata = describePicture(drawn, facts, seeds[i]!);
    images.push(await finish(png, metadata, prefix, { ...save, folder }, i));
  }
  return {
    task: request.task,
    model: prepared.model.key,
    seed: request.seed,
    steps: request.steps,
    guidance: request.guidance,
    ...size,
    elapsedSeconds: facts.elapsedSeconds,
    prompt: request.prompt,
    negativePrompt: request.negativePrompt,
    assisted: facts.assisted,
    cached: facts.cached,
    sampler: request.sampler,
    schedule: request.schedule,
    seconds: made.seconds,
    images: images as [ResultImage, ...ResultImage[]],
    notes: [...facts.notes, ...describeOtherNames(save, images)],
  };
}

async function expandPrompt(
  asked: ImageRequest,
  { assistant, config }: Workshop,
  signal: AbortSignal | undefined,
): Promise<{ request: ImageRequest; reason?: string }> {
  if (!asked.assistPrompt) return { request: asked };
  const { promptSyntax = config.promptSyntax } = asked;
  if (promptSyntax !== 'plain' && hasChoices(asked.prompt))
    throw invalid('assist_prompt: expected a prompt without wildcards or variants, which it would rewrite', {
      fields: ['assist_prompt', 'prompt'],
    });
  const { prompt, reason } = await assistant.expand(asked.prompt, { signal });
  return { request: { ...asked, prompt }, ...(reason !== undefined && { reason }) };
}

function listCacheKeys(
  { request, identities }: PreparedRequest,
  seeds: Seed[],
  { config }: Workshop,
): string[] {
  const weights = { identities: [...identities.values()], device: config.device };
  return seeds.map((seed) => cacheKey(request, seed, weights));
}

/** Returns all pictures of the batch, or undefined if any is missing. */
async function readCache(keys: string[], { cache }: Workshop): Promise<Drawn | undefined> {
  const pictures: CachedPicture[] = [];
  for (const key of keys) {
    const picture = await cache.get(key);
    if (!picture) return undefined;
    pictures.push(picture);
  }
  return { pictures, seconds: null };
}

async function draw(
  { request, model, plan, identities }: PreparedRequest,
  { signal, priority, onPosition, onProgress }: RunControls,
  { engine, logger }: Workshop,
): Promise<Drawn> {
  const turn = { signal, priority, onPosition };
  const needed = { key: model.key, files: model.files, identities };
  const { images, seconds, notes } = await engine.useModel(needed, turn, (client) => {
    logger.info({ model: model.key, task: request.task, steps: request.steps }, 'generation begins');
    return client.run(request, { ...(signal && { signal }), ...(onProgress && { onProgress }) });
  });
  const elapsedSeconds = round(Object.values(seconds).reduce((sum, value) => sum + value, 0));
  logger.info({ model: model.key, seconds: elapsedSeconds }, 'generation done');
  const facts = { family: plan.family, elapsedSeconds, notes };
  const pictures: CachedPicture[] = [];
  for (const { pixels } of images) pictures.push({ png: await encodePng(pixels), facts });
  return { pictures, seconds };
}

/** FLUX pictures keep the names of the replaced FLUX program, and so do all pictures for users of its settings. */
function choosePrefix(family: string, { set }: Config): string {
  const isFlux = family.startsWith('flux') || [...set].some((name) => name.startsWith('FLUX_'));
  return isFlux ? 'flux' : 'image';
}

async function finish(
  png: Buffer,
  metadata: ImageMetadata,
  prefix: string,
  save: OutputTarget,
  place: number,
): Promise<ResultImage> {
  const image = insertPngText(png, { parameters: formatParameters(metadata) });
  const name = `${prefix}_${formatFileTime(new Date())}_${metadata.seed}`;
  return { seed: metadata.seed, ...(await savePicture(image, metadata, save, name, place)) };
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
