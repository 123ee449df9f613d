// The service behind every door: one queue, one engine, one cache, one way to write pictures. A door parses a request,
// calls the service and formats the answer.
import type { EngineClient } from '../engine/client.js';
import { nameDefault, requireDefault, resolveModel } from '../registry/resolve-model.js';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { type Logger, silentLogger } from '../shared/log.js';
import type { ImageResult, JobResult, UpscaleResult } from './answers/results.js';
import { PromptAssistant } from './assist.js';
import { EngineRoom, type EngineRoomStatus } from './engine-room.js';
import { limitConcurrency } from './jobs/limit.js';
import type { RunControls } from './jobs/run-controls.js';
import { makeImages } from './make-images.js';
import { makeLarger } from './make-larger.js';
import { listWeightFiles } from './models/identity.js';
import { listModels, type ModelDescription } from './models/list.js';
import { ModelMemory } from './models/memory.js';
import { PictureCache } from './pictures/cache.js';
import {
  type ImageOperation,
  type ImageRequest,
  type JobRequest,
  type Operation,
  parseRequest,
} from './request/parse.js';
import { createRequestSchemas, type RequestSchemas } from './request/schema.js';
import type { UpscaleRequest } from './request/upscale.js';
import type { Workshop } from './workshop.js';

export type { Phase, Progress } from '../pipeline/types.js';
export type { RunControls } from './jobs/run-controls.js';

export interface ServiceOptions {
  config: Config;
  logger?: Logger;
  /** Confine the paths in requests to the allowed folders. Servers do; the command line does not. */
  confine?: boolean;
  /** Default: a client made from the settings. */
  client?: EngineClient;
}

export interface ServiceStatus extends EngineRoomStatus {
  defaultModel: string;
  outputDir: string;
}

export class ImageService {
  readonly config: Config;
  readonly schemas: RequestSchemas;
  readonly assistant: PromptAssistant;
  readonly #workshop: Workshop;

  constructor({ config, logger = silentLogger, confine = false, client }: ServiceOptions) {
    requireDefault(config);
    this.config = config;
    this.schemas = createRequestSchemas(config);
    this.assistant = new PromptAssistant(config);
    const engine = new EngineRoom(config, logger, client);
    this.#workshop = {
      config,
      confine,
      logger,
      engine,
      assistant: this.assistant,
      cache: new PictureCache({ folder: config.cacheDir, maxBytes: config.cacheMaxBytes, logger }),
      models: new ModelMemory((files) => engine.plan(files)),
      preparing: limitConcurrency(4),
    };
  }

  /** Parses a door's fields (snake_case, any spelling) into a request. @throws ImageForgeError INVALID_ARGUMENT. */
  parse(operation: ImageOperation, fields: unknown): ImageRequest;
  parse(operation: 'upscale', fields: unknown): UpscaleRequest;
  parse(operation: Operation, fields: unknown): JobRequest;
  parse(operation: Operation, fields: unknown): JobRequest {
    return parseRequest(operation, fields, this.schemas);
  }

  /**
   * Makes the pictures of one request, or enlarges a picture, and saves them.
   * @throws ImageForgeError of any code; nothing is left half-written.
   */
  run(request: ImageRequest, controls?: RunControls): Promise<ImageResult>;
  run(request: UpscaleRequest, controls?: RunControls): Promise<UpscaleResult>;
  run(request: JobRequest, controls?: RunControls): Promise<JobResult>;
  async run(request: JobRequest, controls: RunControls = {}): Promise<JobResult> {
    try {
      return request.operation === 'upscale'
        ? await makeLarger(request, controls, this.#workshop)
        : await makeImages(request, controls, this.#workshop);
    } catch (error) {
      const known = ImageForgeError.from(error);
      if (known.code !== 'ABORTED') throw known;
      // Wherever the abort surfaced, the caller caused it.
      const what = request.operation === 'upscale' ? 'upscaling' : 'generation';
      throw new ImageForgeError('ABORTED', `The ${what} was cancelled.`, { cause: error });
    }
  }

  /** Lists every model that a request can name. Reads headers only, and starts no engine. */
  listModels(): Promise<ModelDescription[]> {
    return listModels(this.config, (files) => this.#workshop.models.plan(files), this.defaultModel);
  }

  /** Loads the default model, so that the first request need not wait for it (WARMUP). */
  async warmUp(signal?: AbortSignal): Promise<void> {
    const { engine, models } = this.#workshop;
    const { key, files } = resolveModel({}, this.config);
    const weights = listWeightFiles(await models.plan(files));
    const identities = new Map(
      await Promise.all(weights.map(async (file) => [file, await models.identify(file)] as const)),
    );
    const { memoryMode } = this.config;
    await engine.useModel({ key, files, identities }, { ...(signal && { signal }) }, (client) =>
      client.load(files, { memoryMode, ...(signal && { signal }) }),
    );
  }

  /** Ends the engine's process after the running job. Returns whether there was one. */
  unload(): Promise<boolean> {
    return this.#workshop.engine.unload();
  }

  /** Sets the idle seconds until the engine is unloaded; 0 means never. */
  setTimeout(seconds: number): void {
    this.#workshop.engine.setTimeout(seconds);
  }

  async status(): Promise<ServiceStatus> {
    return {
      ...(await this.#workshop.engine.status()),
      defaultModel: this.defaultModel,
      outputDir: this.config.outputDir,
    };
  }

  /** The engine's process; null while there is none. */
  get enginePid(): number | null {
    return this.#workshop.engine.pid;
  }

  /** How many requests may wait. */
  get queueLimit(): number {
    return this.#workshop.engine.queueLimit;
  }

  /** Key or path of the model that is used when a request names none. */
  get defaultModel(): string {
    return nameDefault(this.config);
  }

  /** Refuses waiting requests, gives the running one `graceMs` to finish (default: none), then ends the engine. */
  close(graceMs = 0): Promise<void> {
    return this.#workshop.engine.close(graceMs);
  }
}
