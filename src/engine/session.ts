// What the host keeps between jobs: one engine on one device, and at most one loaded model.

import { planModel } from '../families/index.js';
import type { ModelFiles } from '../families/types.js';
import type { Addon, Engine } from '../native/addon.js';
import { generate } from '../pipeline/generate.js';
import { LoadedModel } from '../pipeline/loaded-model.js';
import type {
  PipelineRequest,
  PipelineResult,
  RunOptions,
  UpscaledPixels,
  UpscaleRequest,
} from '../pipeline/types.js';
import { upscalePictures } from '../pipeline/upscale.js';
import { ImageForgeError } from '../shared/errors.js';
import type { MemoryChoice } from '../shared/memory-modes.js';
import type { HostOptions, HostStatus, LogLevel } from './protocol.js';

export class Session {
  readonly #addon: Addon;
  readonly #options: HostOptions;
  readonly #log: (level: LogLevel, message: string) => void;
  #engine: Engine | undefined;
  #device: string | null = null;
  #model: LoadedModel | undefined;

  constructor(addon: Addon, options: HostOptions, log: (level: LogLevel, message: string) => void) {
    this.#addon = addon;
    this.#options = options;
    this.#log = log;
  }

  async run(request: PipelineRequest, options: RunOptions): Promise<PipelineResult> {
    const model = await this.#open(request.model);
    try {
      return await generate(model, request, options);
    } catch (error) {
      // the files changed after they were loaded: the next job reads them again
      if (ImageForgeError.from(error).code.startsWith('WEIGHTS_')) await this.#closeModel();
      throw error;
    }
  }

  /** Needs no model. A loaded one stays in memory. */
  async upscale({ model, image, tile }: UpscaleRequest, options: RunOptions): Promise<UpscaledPixels> {
    const { signal, onProgress } = options;
    const begun = performance.now();
    const [larger] = await upscalePictures(this.#ensureEngine(), model, [image], {
      tile,
      signal,
      onTile: (image, step, steps) =>
        onProgress?.({ phase: 'upscale', image, step, steps, pass: 1, passes: 1, done: step, total: steps }),
    });
    return { image: larger!, seconds: (performance.now() - begun) / 1000 };
  }

  async load(files: ModelFiles, memoryMode: MemoryChoice, options: RunOptions): Promise<void> {
    const model = await this.#open(files);
    await model.load({ ...model.plan.defaults, memoryMode }, options.signal);
  }

  status(): HostStatus {
    return {
      device: this.#device,
      model: this.#model?.files ?? null,
      memory: this.#engine?.memory() ?? null,
      rss: process.memoryUsage.rss(),
      peakRss: process.resourceUsage().maxRSS * 1024,
    };
  }

  async close(): Promise<void> {
    this.#engine?.abort();
    await this.#closeModel();
    await this.#engine?.close();
    this.#engine = undefined;
  }

  async #closeModel(): Promise<void> {
    const model = this.#model;
    this.#model = undefined;
    await model?.close();
  }

  /** Opens the model of these files. Another model is closed first, since two rarely fit into memory. */
  async #open(files: ModelFiles): Promise<LoadedModel> {
    if (this.#model && sameFiles(this.#model.files, files)) return this.#model;
    const plan = await planModel(files);
    await this.#closeModel();
    this.#model = new LoadedModel(this.#ensureEngine(), files, plan, { log: this.#log });
    return this.#model;
  }

  #ensureEngine(): Engine {
    if (this.#engine) return this.#engine;
    const { threads, flashAttention } = this.#options;
    const device = this.#chooseDevice(this.#options.device);
    this.#engine = new this.#addon.Engine({
      device,
      ...(threads !== undefined && { threads }),
      ...(flashAttention !== undefined && { flashAttention }),
      onLog: this.#log,
    });
    this.#device = device;
    return this.#engine;
  }

  /** Finds a device by its id, or the first one of a kind ("cuda"). Default: the first GPU, else the CPU. */
  #chooseDevice(wanted: string | undefined): string {
    const devices = this.#addon.devices();
    if (wanted === undefined) return devices.find(({ kind }) => kind !== 'cpu')?.id ?? 'cpu';
    const found = devices.find(({ id }) => id === wanted) ?? devices.find(({ kind }) => kind === wanted);
    return found?.id ?? wanted;
  }
}

function sameFiles(a: ModelFiles, b: ModelFiles): boolean {
  const entries = (files: ModelFiles) => JSON.stringify(Object.entries(files).sort());
  return entries(a) === entries(b);
}
