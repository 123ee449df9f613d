// The library's main class: one engine, one model, and a method for each kind of picture.
import { EngineClient } from '../engine/client.js';
import type { ModelFiles, ModelPlan } from '../families/types.js';
import { planUpscaler } from '../families/upscaler.js';
import type { Pixels } from '../native/addon.js';
import { finalSize, resolveRequest } from '../pipeline/resolve.js';
import type { PipelineRequest, Progress } from '../pipeline/types.js';
import { sizeUpscaled } from '../pipeline/upscaled-size.js';
import { POCKET } from '../registry/catalog.js';
import { resolveEmbeddings } from '../registry/embeddings.js';
import { resolveLoras } from '../registry/loras.js';
import { resolveNamed } from '../registry/named-files.js';
import { resolveModel } from '../registry/resolve-model.js';
import { chooseTinyAutoencoder } from '../registry/tiny-autoencoders.js';
import { upscalers } from '../registry/upscalers.js';
import { decodePicture, resizePicture } from '../service/pictures/codec.js';
import { addControl, openControl } from '../service/request/control.js';
import { expandRequest } from '../service/request/expand.js';
import { parseFields } from '../service/request/fields.js';
import { upscaleSchema } from '../service/request/upscale.js';
import { readConfig } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { LIMITS } from '../shared/limits.js';
import type { MemoryChoice } from '../shared/memory-modes.js';
import type {
  EditOptions,
  GenerateOptions,
  InpaintOptions,
  LoraOptions,
  TextToImageOptions,
  UpscaleOptions,
} from './options.js';
import { measureInput, readBytes, readMask, readPicture, readReferences } from './pictures.js';
import { GeneratedImage, type GenerationResult, Picture } from './result.js';
import { GenerationRun } from './run.js';

/** What an engine is made with. */
export interface ImageForgeOptions {
  /**
   * A file (GGUF or safetensors), a key of the catalogue, or the files of a model that comes in parts. Default: the small
   * model in the package.
   */
  model?: string | ModelFiles;
  /** An id such as 'cpu' or 'cuda0'. Default: the first GPU, else the CPU. */
  device?: string;
  /** CPU threads. Default: as many as the machine has cores. */
  threads?: number;
  /**
   * 'full': all networks stay in memory; 'offload': one network at a time; 'stream': of that one only some layers at a time.
   * Default: 'auto', the roomiest that fits.
   */
  memoryMode?: MemoryChoice;
  /**
   * 'process' (default): the networks run in a child process, whose death rejects the run with ENGINE_CRASHED.
   * 'thread': in a worker thread of this process.
   */
  isolation?: 'process' | 'thread';
  /** Gets the lines that the engine logs. Default: they are dropped. */
  onLog?: (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;
}

interface Model {
  files: ModelFiles;
  loras: LoraOptions[];
  plan: ModelPlan;
}

/**
 * Makes pictures with one model. The model is loaded by the first run and stays in memory.
 *
 * ```ts
 * await using forge = new ImageForge({ model: './sd15.gguf' });
 * const run = forge.generate({ prompt: 'a red fox in the snow', seed: 42 });
 * for await (const { phase, step, steps } of run) console.error(phase, step, steps);
 * const { image } = await run;
 * await image.save('fox.png');
 * ```
 */
export class ImageForge implements AsyncDisposable {
  readonly #engine: EngineClient;
  readonly #model: string | ModelFiles;
  readonly #memoryMode: MemoryChoice;
  #found: Promise<Model> | undefined;

  /** Loads nothing yet, and never fails: what is wrong with the options is the first run's error. */
  constructor({ model = POCKET, memoryMode = 'auto', ...engine }: ImageForgeOptions = {}) {
    this.#model = model;
    this.#memoryMode = memoryMode;
    this.#engine = new EngineClient(engine);
  }

  /**
   * Text to image. Runs take place one at a time, in the order of their calls.
   * @throws ImageForgeError with one of these codes: INVALID_ARGUMENT, MODEL_NOT_FOUND, MODEL_INCOMPLETE,
   *   WEIGHTS_UNREADABLE, WEIGHTS_INVALID, UNSUPPORTED, OUT_OF_MEMORY, DEVICE_UNAVAILABLE, BAD_IMAGE, ABORTED,
   *   ENGINE_CRASHED, ADDON_MISSING, CLOSED.
   */
  generate(options: TextToImageOptions): GenerationRun {
    return this.#start(options, async () => ({}));
  }

  /** Image to image: changes a picture towards the prompt. Throws the same errors as {@link generate}. */
  edit(options: EditOptions): GenerationRun {
    return this.#start(options, async ({ plan }) => {
      const init = await readPicture(options.image, 'image', options, plan);
      return { init, strength: options.strength };
    });
  }

  /** Repaints the white part of the mask; every other pixel stays. Throws the same errors as {@link generate}. */
  inpaint(options: InpaintOptions): GenerationRun {
    return this.#start(options, async ({ plan }) => {
      const init = await readPicture(options.image, 'image', options, plan);
      return { init, ...(await readMask(options.mask, 'mask', init)), strength: options.strength };
    });
  }

  /**
   * Enlarges a picture; needs no model. Waits for the earlier runs. Throws the same errors as {@link generate}, and
   * TOO_LARGE for a result of more than 134 million pixels.
   */
  async upscale({ image, model, onProgress, signal, ...options }: UpscaleOptions): Promise<Picture> {
    const { scale, tile } = parseFields(upscaleSchema, { ...options, model });
    const file = resolveNamed(upscalers, model, readConfig());
    const plan = await planUpscaler(file);
    const { bytes, ...size } = await measureInput(image, 'image');
    const { width, height } = sizeUpscaled(size, plan, scale ?? undefined);
    const source = await decodePicture(bytes, size, 'image');
    const { image: larger } = await this.#engine.upscale(
      { model: file, image: source, ...(tile && { tile }) },
      { onProgress: ({ step, steps }) => onProgress?.(step, steps), ...(signal && { signal }) },
    );
    return new Picture(await resizePicture(larger, { width, height }));
  }

  /** Loads the model now instead of with the first run. */
  async load(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { files } = await this.#findModel();
    await this.#engine.load(files, { ...options, memoryMode: this.#memoryMode });
  }

  /** Frees the model's memory after the runs so far. The next run loads it again. */
  unload(): Promise<void> {
    return this.#engine.unload();
  }

  /** Ends the engine. Running and later runs reject with CLOSED. */
  close(): Promise<void> {
    return this.#engine.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #start(
    { signal, control: askedControl, ...options }: GenerateOptions,
    readPictures: (
      model: Model,
    ) => Promise<{ init?: Pixels; mask?: Uint8Array; strength?: number | undefined; notes?: string[] }>,
  ): GenerationRun {
    return new GenerationRun(async (onProgress: (progress: Progress) => void) => {
      const model = await this.#findModel();
      const { notes: read = [], ...pictures } = await readPictures(model);
      const sizes = pictures.init && { width: pictures.init.width, height: pictures.init.height };
      const references =
        options.references && options.references.length > 0
          ? await readReferences(options.references, model.plan)
          : undefined;
      const memoryMode = this.#memoryMode;
      const asked = expandOptions(options);
      const texts = asked.pictures ?? [asked];
      const wanted = [...model.loras, ...asked.loras];
      const loras = wanted.length > 0 ? resolveLoras(wanted, readConfig()) : [];
      const upscaler = options.upscaler && resolveNamed(upscalers, options.upscaler, readConfig());
      if (upscaler) await planUpscaler(upscaler);
      const control = askedControl && (await openControlOption(askedControl, model.plan));
      const prompts = texts.flatMap(({ prompt, negativePrompt }) => [prompt, negativePrompt]);
      const embeddings = await resolveEmbeddings(
        prompts,
        options.embeddings ?? [],
        model.plan,
        readConfig(),
        asked.promptSyntax,
      );
      const { fastDecode = false, previewEvery = 0 } = options;
      const tinyOptions = { tae: options.tae, fastDecode, previewEvery };
      const tiny = await chooseTinyAutoencoder(tinyOptions, model.plan, readConfig());
      const made = {
        references,
        ...asked,
        loras,
        upscaler,
        tae: tiny?.path,
        embeddings: embeddings.used,
        memoryMode,
      };
      const { pictures: ownPrompts } = asked;
      const given = { ...options, ...sizes, ...pictures, ...made, pictures: ownPrompts };
      const resolved = resolveRequest(given, model.files, model.plan);
      const request = control ? await addControl(resolved, control) : resolved;
      const result = await this.#engine.run(request, { onProgress, ...(signal && { signal }) });
      return describe(request, result, [...read, ...(tiny?.notes ?? []), ...embeddings.notes]);
    });
  }

  /** Finds the model at the first run, so that the constructor never fails. After an error the next run tries again. */
  #findModel(): Promise<Model> {
    this.#found ??= this.#lookUp();
    this.#found.catch(() => {
      this.#found = undefined;
    });
    return this.#found;
  }

  async #lookUp(): Promise<Model> {
    if (typeof this.#model !== 'string') {
      return { files: this.#model, loras: [], plan: await this.#engine.plan(this.#model) };
    }
    const { files, loras, defaults } = resolveModel({ model: this.#model }, readConfig());
    const plan = await this.#engine.plan(files);
    return { files, loras, plan: { ...plan, defaults: { ...plan.defaults, ...defaults } } };
  }
}

/** Styles and choices of the prompts; what is no request at all is left for the request's check to refuse. */
function expandOptions({ prompt, negativePrompt = '', batch = 1, loras = [], ...options }: GenerateOptions) {
  const valid = typeof prompt === 'string' && typeof negativePrompt === 'string';
  const count = Number.isInteger(batch) && batch > 0 && batch <= LIMITS.batch ? batch : 1;
  const { seed, styles, promptSyntax } = options;
  for (const [name, text] of Object.entries({ prompt, negativePrompt }))
    if (valid && text.length > LIMITS.promptLength)
      throw new ImageForgeError(
        'INVALID_ARGUMENT',
        `${name}: expected at most ${LIMITS.promptLength} characters, found ${text.length}.`,
        { details: { fields: [name] } },
      );
  if (styles !== undefined && !(Array.isArray(styles) && styles.every((name) => typeof name === 'string')))
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `styles: expected a list of names, found ${JSON.stringify(styles)}.`,
      { details: { fields: ['styles'] } },
    );
  const { batch: _, ...asked } = valid
    ? expandRequest({ prompt, negativePrompt, loras, seed, styles, promptSyntax, batch: count }, readConfig())
    : { prompt, negativePrompt, loras, batch, pictures: undefined, promptSyntax };
  return asked;
}

function openControlOption({ image, ...settings }: NonNullable<GenerateOptions['control']>, plan: ModelPlan) {
  const label = typeof image === 'string' ? `control.image ${image}` : 'control.image';
  return openControl(settings, { read: () => readBytes(image, 'control.image'), label }, plan, readConfig());
}

function describe(
  request: PipelineRequest,
  { images, seconds, family, notes }: Awaited<ReturnType<EngineClient['run']>>,
  before: string[],
): GenerationResult {
  const [image, ...others] = images.map(({ pixels, seed }) => new GeneratedImage(pixels, seed));
  if (!image) throw new ImageForgeError('INTERNAL', 'The engine gave no picture.');
  const { steps, guidance, sampler, schedule } = request;
  const settings = { ...finalSize(request), steps, guidance, sampler, schedule };
  const { prompt, negativePrompt } = request;
  const prompts = request.pictures ?? images.map(() => ({ prompt, negativePrompt }));
  const all = [...before, ...notes];
  return { image, images: [image, ...others], prompts, seconds, family, settings, notes: all };
}
