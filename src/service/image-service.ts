// The service behind every door: one queue, one engine, one cache, one way to write pictures. A door parses, calls
// this, and formats the answer.
import path from 'node:path';
import { EngineClient } from '../engine/client.js';
import type { PipelineResult, Progress } from '../pipeline/types.js';
import { nameDefault, requireDefault, resolveModel } from '../registry/resolve-model.js';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { type Logger, silentLogger } from '../shared/log.js';
import type { ImageResult, ResultImage } from './answers/results.js';
import { PromptAssistant } from './assist.js';
import type { JobRequest, JobResult } from './jobs/job-types.js';
import { limitConcurrency } from './jobs/limit.js';
import { JobQueue } from './jobs/queue.js';
import { Lifecycle, type LifecycleStatus } from './lifecycle.js';
import { ModelMemory } from './models/memory.js';
import { type CachedPicture, cacheKey, PictureCache } from './pictures/cache.js';
import { encodePng } from './pictures/codec.js';
import { describePicture, formatFileTime, type ImageMetadata, nameTask } from './pictures/metadata.js';
import { prepareFolder, saveOutput } from './pictures/outputs.js';
import { formatParameters } from './pictures/parameters.js';
import { insertPngText } from './pictures/png-text.js';
import { type ImageRequest, type Operation, parseRequest } from './request/parse.js';
import { type PreparedRequest, prepareRequest } from './request/prepare.js';
import { createRequestSchemas, type RequestSchemas } from './request/schema.js';
import { nameUpscaled, prepareUpscale, runUpscale, type UpscaleAsk, type UpscaleResult } from './upscale.js';

export type { Phase, Progress } from '../pipeline/types.js';

/** What the engine gets for its end after a server's grace. */
const ENGINE_END_MS = 1000;

export interface ServiceOptions {
  config: Config;
  logger?: Logger;
  /** Paths in requests are confined to the allowed folders (servers); the user's own hand is not (CLI, library). */
  confine?: boolean;
  /** Default: one made from the settings. */
  client?: EngineClient;
}

export interface RunControls {
  signal?: AbortSignal;
  /** Higher first; 0 by default. */
  priority?: number;
  /** Place in the line, 1 = next; called when it changes. */
  onPosition?: (position: number) => void;
  onProgress?: (progress: Progress) => void;
  /** The prompt as the model will see it. */
  onPrompt?: (prompt: string) => void;
  save?: SaveTarget;
}

export interface SaveTarget {
  /** Default: OUTPUT_DIR. */
  folder?: string | undefined;
  /** Exact name of the (first) image, with or without .png. */
  file?: string | undefined;
  /** false keeps the image in memory only. */
  enabled?: boolean;
}

export interface ServiceStatus extends LifecycleStatus {
  defaultModel: string;
  /** Key or path of the model in memory. */
  loadedModel: string | null;
  queue: { waiting: number; running: boolean; limit: number };
  outputDir: string;
}

export class ImageService {
  readonly config: Config;
  readonly schemas: RequestSchemas;
  readonly queue: JobQueue;
  readonly lifecycle: Lifecycle;
  readonly assistant: PromptAssistant;
  readonly #cache: PictureCache;
  readonly #logger: Logger;
  readonly #confine: boolean;
  readonly #models: ModelMemory;
  /** Decoding the pictures of hundreds of clients at once would keep all of them, and their memory, waiting. */
  readonly #preparing = limitConcurrency(4);
  /** What the engine has in memory, as it was when it was loaded. */
  #loaded: { key: string; affinity: string; identities: ReadonlyMap<string, string> } | undefined;

  constructor({ config, logger = silentLogger, confine = false, client }: ServiceOptions) {
    requireDefault(config);
    this.config = config;
    this.#logger = logger;
    this.#confine = confine;
    this.schemas = createRequestSchemas(config);
    this.queue = new JobQueue({ limit: config.queueLimit });
    this.lifecycle = new Lifecycle(client ?? createClient(config, logger), config.unloadTimeout, logger);
    this.#models = new ModelMemory((files) => this.lifecycle.client.plan(files));
    this.assistant = new PromptAssistant(config);
    this.#cache = new PictureCache({ folder: config.cacheDir, maxBytes: config.cacheMaxBytes, logger });
  }

  /** A door's fields (snake_case, either spelling) as a request. @throws ImageForgeError INVALID_ARGUMENT. */
  parse(operation: Operation, fields: unknown): ImageRequest {
    return parseRequest(operation, fields, this.schemas);
  }

  /**
   * Makes the pictures of one request, or a picture larger, and writes them.
   * @throws ImageForgeError of any code; nothing is left half-written.
   */
  run(asked: ImageRequest, controls?: RunControls): Promise<ImageResult>;
  run(asked: UpscaleAsk, controls?: RunControls): Promise<UpscaleResult>;
  run(asked: JobRequest, controls?: RunControls): Promise<JobResult>;
  async run(asked: JobRequest, controls: RunControls = {}): Promise<JobResult> {
    const upscales = asked.operation === 'upscale';
    try {
      return await (upscales ? this.#upscale(asked, controls) : this.#run(asked, controls));
    } catch (error) {
      const known = ImageForgeError.from(error);
      if (known.code !== 'ABORTED') throw known;
      // wherever it was noticed, its caller did it
      const what = upscales ? 'upscaling' : 'generation';
      throw new ImageForgeError('ABORTED', `The ${what} was cancelled.`, { cause: error });
    }
  }

  async #run(asked: ImageRequest, controls: RunControls): Promise<ImageResult> {
    const begun = performance.now();
    const { signal, save = {} } = controls;
    const { request: wanted, reason } = await this.#assist(asked, signal);
    const prepared = await this.#preparing(() => this.#prepare(wanted));
    const { request } = prepared;
    const folder = save.file ? path.dirname(save.file) : (save.folder ?? this.config.outputDir);
    const { size } = prepared;
    const needed = request.batch * (size.width * size.height * 4 + 2 ** 16);
    if (save.enabled !== false) await prepareFolder(folder, needed);
    signal?.throwIfAborted();
    controls.onPrompt?.(request.prompt);

    const seeds = Array.from({ length: request.batch }, (_, i) => request.seed + i);
    const keys = this.#cacheKeys(prepared, seeds);
    const known = wanted.useCache && wanted.seed !== undefined ? await this.#readCache(keys) : undefined;
    const made = known ?? (await this.#generate(prepared, controls));
    if (!known && wanted.useCache) {
      for (const [i, picture] of made.pictures.entries()) await this.#cache.put(keys[i]!, picture);
    }

    const notes = [...(made.pictures[0]?.facts.notes ?? []), ...prepared.notes];
    const elapsedSeconds = round((performance.now() - begun) / 1000);
    const originalPrompt = wanted.prompt === asked.prompt ? null : asked.prompt;
    const facts = { prepared, elapsedSeconds, cached: known !== undefined, originalPrompt };
    const images: ResultImage[] = [];
    for (const [i, picture] of made.pictures.entries()) {
      const metadata = describePicture(facts, seeds[i]!);
      images.push(await this.#finish(picture.png, metadata, { ...save, folder }));
    }
    return {
      task: nameTask(request.task),
      model: prepared.model.key,
      seed: request.seed,
      steps: request.steps,
      guidance: request.guidance,
      ...size,
      elapsedSeconds,
      prompt: request.prompt,
      negativePrompt: request.negativePrompt,
      assisted: originalPrompt !== null,
      cached: known !== undefined,
      sampler: request.sampler,
      schedule: request.schedule,
      seconds: made.seconds,
      images: images as [ResultImage, ...ResultImage[]],
      notes: reason === undefined ? notes : [`The prompt was not expanded: ${reason}.`, ...notes],
    };
  }

  async #upscale(asked: UpscaleAsk, controls: RunControls): Promise<UpscaleResult> {
    const { signal, priority, onPosition, onProgress, save = {} } = controls;
    const prepared = await this.#preparing(() => prepareUpscale(asked, this.config, this.#confine));
    const folder = save.file ? path.dirname(save.file) : (save.folder ?? this.config.outputDir);
    if (save.enabled !== false) await prepareFolder(folder, prepared.size.width * prepared.size.height * 4);
    signal?.throwIfAborted();
    const { png, metadata } = await this.queue.add({
      affinity: prepared.file,
      priority,
      signal,
      onPosition,
      run: () => this.lifecycle.use((client) => runUpscale(prepared, client, { signal, onProgress })),
    });
    const result = { task: 'upscale', elapsedSeconds: metadata.elapsed_s, cached: false } as const;
    if (save.enabled === false)
      return { ...result, images: [{ png, path: null, sidecarPath: null, metadata }] };
    const name = nameUpscaled(asked.image, formatFileTime(new Date()));
    const base = save.file?.replace(/\.png$/i, '') ?? path.join(folder, name);
    const describe = (filename: string) => ({ ...metadata, filename });
    const { imagePath, sidecarPath } = await saveOutput(base, { image: png, describe });
    const image = { png, path: imagePath, sidecarPath, metadata: describe(path.basename(imagePath)) };
    return { ...result, images: [image] };
  }

  /** Loads the default model, so that the first request finds it (WARMUP). */
  async warmUp(signal?: AbortSignal): Promise<void> {
    const model = resolveModel({}, this.config);
    const options = { memoryMode: this.config.memoryMode, ...(signal && { signal }) };
    await this.queue.add({
      affinity: JSON.stringify(model.files),
      signal,
      run: () => this.lifecycle.use((client) => client.load(model.files, options)),
    });
  }

  /** Ends the engine's process after the running job; true when there was one. */
  async unload(): Promise<boolean> {
    this.#loaded = undefined;
    return this.lifecycle.unload();
  }

  /** Idle seconds until the engine is unloaded; 0 = never. */
  setTimeout(seconds: number): void {
    this.lifecycle.setTimeout(seconds);
  }

  async status(): Promise<ServiceStatus> {
    const lifecycle = await this.lifecycle.status();
    const { waiting, running, limit } = this.queue;
    const { model } = lifecycle.engine;
    return {
      ...lifecycle,
      defaultModel: this.defaultModel,
      loadedModel:
        model && (this.#loaded?.affinity === JSON.stringify(model) ? this.#loaded.key : model.model),
      queue: { waiting, running, limit },
      outputDir: this.config.outputDir,
    };
  }

  /** Key or path of the model that is used when a request names none. */
  get defaultModel(): string {
    return nameDefault(this.config);
  }

  /** Refuses what waits, lets what runs end within `graceMs` (default: at once), then ends the engine. */
  async close(graceMs = 0): Promise<void> {
    const drained = this.queue.close();
    if (graceMs > 0)
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, graceMs).unref())]);
    // an engine that is asked in the middle of a long step does not hear it
    await this.lifecycle.close(graceMs > 0 ? ENGINE_END_MS : undefined);
    await drained;
  }

  async #assist(
    asked: ImageRequest,
    signal?: AbortSignal,
  ): Promise<{ request: ImageRequest; reason?: string }> {
    if (!asked.assist) return { request: asked };
    const { prompt, reason } = await this.assistant.expand(asked.prompt, { signal });
    return { request: { ...asked, prompt }, ...(reason !== undefined && { reason }) };
  }

  #prepare(asked: ImageRequest): Promise<PreparedRequest> {
    return prepareRequest(asked, {
      config: this.config,
      confine: this.#confine,
      plan: (files) => this.#models.plan(files),
      identify: (file) => this.#models.identify(file),
    });
  }

  #cacheKeys({ request, identities }: PreparedRequest, seeds: number[]): string[] {
    const weights = { identities: [...identities.values()], device: this.config.device };
    return seeds.map((seed) => cacheKey(request, seed, weights));
  }

  /** All pictures of the batch, or nothing. */
  async #readCache(keys: string[]): Promise<{ pictures: CachedPicture[]; seconds: null } | undefined> {
    const pictures: CachedPicture[] = [];
    for (const key of keys) {
      const picture = await this.#cache.get(key);
      if (!picture) return undefined;
      pictures.push(picture);
    }
    return { pictures, seconds: null };
  }

  async #generate(
    prepared: PreparedRequest,
    { signal, priority, onPosition, onProgress }: RunControls,
  ): Promise<{ pictures: CachedPicture[]; seconds: PipelineResult['seconds'] }> {
    const { request, model, plan, identities } = prepared;
    const affinity = JSON.stringify(model.files);
    const result = await this.queue.add({
      affinity,
      priority,
      signal,
      onPosition,
      run: () =>
        this.lifecycle.use(async (client) => {
          // a file that was replaced under its name must not be drawn with the old weights
          const before = this.#loaded?.affinity === affinity ? this.#loaded.identities : noFiles;
          const replaced = [...identities].some(([file, now]) => (before.get(file) ?? now) !== now);
          if (replaced) await client.unload();
          const known = replaced ? identities : new Map([...before, ...identities]);
          this.#loaded = { key: model.key, affinity, identities: known };
          this.#logger.info(
            { model: model.key, task: request.task, steps: request.steps },
            'generation begins',
          );
          return client.run(request, { ...(signal && { signal }), ...(onProgress && { onProgress }) });
        }),
    });
    const elapsedSeconds = round(Object.values(result.seconds).reduce((sum, value) => sum + value, 0));
    this.#logger.info({ model: model.key, seconds: elapsedSeconds }, 'generation done');
    const pictures: CachedPicture[] = [];
    for (const { pixels } of result.images)
      pictures.push({
        png: await encodePng(pixels),
        facts: { family: plan.family, elapsedSeconds, notes: result.notes },
      });
    return { pictures, seconds: result.seconds };
  }

  async #finish(png: Buffer, metadata: ImageMetadata, save: SaveTarget): Promise<ResultImage> {
    const image = insertPngText(png, { parameters: formatParameters(metadata) });
    if (save.enabled === false)
      return { seed: metadata.seed, png: image, path: null, sidecarPath: null, metadata };
    const name = `flux_${formatFileTime(new Date())}_${metadata.seed}`;
    const base = save.file?.replace(/\.png$/i, '') ?? path.join(save.folder ?? this.config.outputDir, name);
    const files = { image, describe: (filename: string) => ({ ...metadata, filename }) };
    const { imagePath, sidecarPath } = await saveOutput(base, files);
    metadata.filename = path.basename(imagePath);
    return { seed: metadata.seed, png: image, path: imagePath, sidecarPath, metadata };
  }
}

const noFiles: ReadonlyMap<string, string> = new Map();

function createClient({ device, threads }: Config, logger: Logger): EngineClient {
  return new EngineClient({
    ...(device !== 'auto' && { device }),
    ...(threads > 0 && { threads }),
    onLog: (level, message) => logger[level]({ from: 'engine' }, message),
  });
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
