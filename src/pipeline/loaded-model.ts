// A model's networks in an engine. They are loaded when a phase needs them and freed after it if memory is short. Encoded
// prompts are remembered.
import { type ControlNetPlan, planControlNet } from '../families/control-net.js';
import { readVectors } from '../families/embeddings.js';
import { findRuntime } from '../families/index.js';
import type {
  EncodedPrompts,
  EncodedTexts,
  FamilyRuntime,
  PromptRequest,
  TextsRequest,
} from '../families/runtime.js';
import { loadTokenizers } from '../families/text-encoder-tokenizer.js';
import { isTiny, planTinyAutoencoder } from '../families/tiny-autoencoder.js';
import type { ModelFiles, ModelPlan, NetworkPlan } from '../families/types.js';
import type { Autoencoder, ControlNet, Denoiser, Engine, Module, TextEncoder } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import type { MemoryMode } from '../shared/memory-modes.js';
import { throwIfAborted, withAbort } from './abort.js';
import { LoraSet } from './loras.js';
import { chooseMemoryMode, estimateNeeds } from './memory-mode.js';
import { normaliseLatents } from './normalised-autoencoder.js';
import { LatentColours } from './preview.js';
import { TinyDecoder } from './tiny-decoder.js';
import type { PipelineRequest } from './types.js';

/** How many encoded prompts are kept, so that a series of experiments with one prompt encodes it once. */
const REMEMBERED_PROMPTS = 8;

/** What decides the memory mode: what was asked for, and the sizes of the pictures. */
export type LoadOptions = Pick<PipelineRequest, 'memoryMode' | 'references' | 'width' | 'height'> & {
  /** Decodes the finished pictures instead of the autoencoder, which is then loaded only if something needs it. */
  decoder?: NetworkPlan | undefined;
};

export class LoadedModel {
  readonly engine: Engine;
  readonly files: ModelFiles;
  readonly plan: ModelPlan;
  readonly runtime: FamilyRuntime;
  #textEncoders: TextEncoder[] | undefined;
  #denoiser: Denoiser | undefined;
  #control: { path: string; plan: ControlNetPlan; net?: ControlNet } | undefined;
  #autoencoder: Autoencoder | undefined;
  #texts = new Map<string, EncodedTexts>();
  #colours: LatentColours | undefined;
  #loras = LoraSet.none;
  /** The mode of the last run; undefined before the first. */
  #mode: MemoryMode | undefined;
  /** Share of the denoiser's streamed weights that stays in memory. */
  #keep = 0;
  readonly #log: (level: 'info' | 'warn', message: string) => void;

  /** `log` gets what a user should know but what stops nothing. */
  constructor(
    engine: Engine,
    files: ModelFiles,
    plan: ModelPlan,
    { log = () => undefined }: { log?: (level: 'info' | 'warn', message: string) => void } = {},
  ) {
    this.#log = log;
    this.engine = engine;
    this.files = files;
    this.plan = plan;
    this.runtime = findRuntime(plan.family);
  }

  /**
   * Decides how this run keeps its networks in memory, and loads all of them if they are to stay. If the mode changes, the
   * networks of the earlier run are freed first.
   */
  async load({ memoryMode = 'auto', decoder, ...size }: LoadOptions, signal?: AbortSignal): Promise<void> {
    await withAbort(this.engine, signal, async () => {
      const { deviceFree, weights, compute } = this.engine.memory();
      const plan = decoder ? { ...this.plan, autoencoder: decoder } : this.plan;
      const needs = estimateNeeds(plan, size, size.references, this.#control?.plan, this.#loras.need);
      const free = deviceFree + weights + compute; // what this engine holds can be freed and used again
      const { mode, reason, keep } = chooseMemoryMode(memoryMode, needs, free);
      this.#keep = keep;
      if (mode !== this.#mode) {
        await this.close();
        this.#mode = mode;
        this.#log('info', reason);
      }
      if (mode !== 'full') return;
      await this.#loadTextEncoders(signal);
      await this.loadDenoiser(signal);
      if (this.#control) await this.loadControlNet(signal);
      if (!decoder) await this.loadAutoencoder(signal);
    });
  }

  /**
   * Ends a phase. In full mode its networks stay loaded, but the mapped pages of their weights leave resident memory; in
   * the other modes the networks are freed to make room for the next phase.
   */
  async finish(part: 'textEncoders' | 'denoiser' | 'autoencoder'): Promise<void> {
    const modules: (Module | undefined)[] = {
      textEncoders: this.#textEncoders ?? [],
      denoiser: [this.#denoiser, this.#control?.net],
      autoencoder: [this.#autoencoder],
    }[part];
    if (this.#mode === 'full' || this.#mode === undefined) {
      for (const module of modules) module?.rest();
      return;
    }
    if (part === 'textEncoders') this.#textEncoders = undefined;
    else if (part === 'denoiser') this.#forgetDenoiser();
    else this.#autoencoder = undefined;
    await closeAll(modules);
  }

  /** Takes over the LoRAs of this request; networks that are loaded already get them now. */
  async useLoras(wanted: NonNullable<PipelineRequest['loras']>): Promise<void> {
    if (this.#loras.matches(wanted)) return;
    const loras = await LoraSet.resolve(wanted, this.plan);
    for (const note of loras.notes) this.#log('warn', note);
    // if applying them fails half-way, the next request must not take them for complete
    this.#loras = LoraSet.none;
    try {
      if (this.#denoiser) await loras.applyTo(this.#denoiser, 'denoiser');
      for (const [i, encoder] of (this.#textEncoders ?? []).entries()) await loras.applyTo(encoder, i);
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#loras = loras;
  }

  /** Takes over the ControlNet of this request, or none. It stays in memory as long as requests name the same one. */
  async useControlNet(path: string | undefined): Promise<void> {
    if (path === this.#control?.path) return;
    const before = this.#control?.net;
    this.#control = undefined;
    await before?.close();
    if (path !== undefined) this.#control = { path, plan: await planControlNet(path, this.plan) };
  }

  /** Tells people which LoRA updates found no tensor. */
  get notes(): string[] {
    return [...(this.plan.notes ?? []), ...this.#loras.notes];
  }

  /** One prompt and what to avoid, whose schedules and AND are taken as words. */
  async encodePrompts(
    { prompt, negativePrompt, ...options }: PromptRequest,
    signal: AbortSignal | undefined,
  ): Promise<EncodedPrompts> {
    const texts = { ...options, prompts: [prompt], negativePrompts: [negativePrompt] };
    const { positives, negatives } = await this.encodeTexts(texts, signal);
    return { positive: positives[0]!, ...(negatives[0] && { negative: negatives[0] }) };
  }

  /** Encodes texts; the text encoders are loaded only if the result isn't remembered. */
  async encodeTexts(request: TextsRequest, signal: AbortSignal | undefined): Promise<EncodedTexts> {
    const key = JSON.stringify([request, this.#loras.key]);
    const known = this.#texts.get(key);
    const encoded = known ?? (await this.#encode(request, signal));
    this.#texts.delete(key);
    this.#texts.set(key, encoded);
    if (this.#texts.size > REMEMBERED_PROMPTS) this.#texts.delete(this.#texts.keys().next().value!);
    return encoded;
  }

  async #encode(request: TextsRequest, signal: AbortSignal | undefined): Promise<EncodedTexts> {
    const learned = await readVectors(request.embeddings ?? [], this.plan);
    await loadTokenizers(this.plan); // fails early, before gigabytes of weights are loaded
    return this.runtime.encodeTexts(await this.#loadTextEncoders(signal), this.plan, request, learned);
  }

  async loadDenoiser(signal?: AbortSignal): Promise<Denoiser> {
    if (this.#denoiser) return this.#denoiser;
    const { kind, config, weights } = this.plan.denoiser;
    throwIfAborted(signal);
    const denoiser = await this.engine.loadDenoiser(kind, config, weights, this.#stepOptions);
    try {
      if (!this.#loras.isEmpty) await this.#loras.applyTo(denoiser, 'denoiser');
    } catch (error) {
      await denoiser.close();
      throw error;
    }
    this.#denoiser = denoiser;
    return denoiser;
  }

  /** Loads the ControlNet that useControlNet() named. */
  async loadControlNet(signal?: AbortSignal): Promise<ControlNet> {
    const control = this.#control;
    if (!control) throw new ImageForgeError('INTERNAL', 'No ControlNet was named.');
    if (control.net) return control.net;
    const { kind, config, weights } = control.plan;
    throwIfAborted(signal);
    control.net = await this.engine.loadControlNet(kind, config, weights, this.#stepOptions);
    return control.net;
  }

  async loadAutoencoder(signal?: AbortSignal): Promise<Autoencoder> {
    if (this.#autoencoder) return this.#autoencoder;
    const { kind, config, weights } = this.plan.autoencoder;
    throwIfAborted(signal);
    const autoencoder = await this.engine.loadAutoencoder(kind, config, weights, this.#loadOptions);
    this.#autoencoder = normaliseLatents(autoencoder, this.plan.autoencoder, this.plan.latent.statistics);
    return this.#autoencoder;
  }

  /** The colours of this model's latents, for previews. */
  async latentColours(signal: AbortSignal | undefined): Promise<LatentColours> {
    const { factor, channels } = this.plan.latent;
    this.#colours ??= await LatentColours.fit(await this.loadAutoencoder(signal), channels, factor);
    return this.#colours;
  }

  /** Opens the tiny autoencoder that draws previews, and finished pictures if asked to; undefined if there is none. */
  async openTinyDecoder({
    tiny,
    previewEvery,
  }: Pick<PipelineRequest, 'tiny' | 'previewEvery'>): Promise<TinyDecoder | undefined> {
    const { autoencoder, latent } = this.plan;
    const own = isTiny(autoencoder.kind) && previewEvery > 0 ? autoencoder : undefined;
    const plan = tiny ? await planTinyAutoencoder(tiny.path, this.plan) : own;
    if (!plan) return undefined;
    return TinyDecoder.open(this.engine, plan, latent, (message) => this.#log('warn', message));
  }

  async close(): Promise<void> {
    const modules: (Module | undefined)[] = [
      ...(this.#textEncoders ?? []),
      this.#denoiser,
      this.#control?.net,
      this.#autoencoder,
    ];
    this.#textEncoders = undefined;
    this.#forgetDenoiser();
    this.#autoencoder = undefined;
    await closeAll(modules);
  }

  async #loadTextEncoders(signal: AbortSignal | undefined): Promise<TextEncoder[]> {
    if (this.#textEncoders) return this.#textEncoders;
    const loaded: TextEncoder[] = [];
    try {
      for (const { kind, config, weights } of this.plan.textEncoders) {
        throwIfAborted(signal);
        const encoder = await this.engine.loadTextEncoder(kind, config, weights, this.#loadOptions);
        loaded.push(encoder);
        if (!this.#loras.isEmpty) await this.#loras.applyTo(encoder, loaded.length - 1);
      }
    } catch (error) {
      await closeAll(loaded);
      throw error;
    }
    this.#textEncoders = loaded;
    return loaded;
  }

  /** The ControlNet goes with it. */
  #forgetDenoiser(): void {
    this.#denoiser = undefined;
    delete this.#control?.net;
  }

  /** Options of networks that compute in every step. */
  get #stepOptions(): { stream: boolean; keep: number } {
    return { ...this.#loadOptions, keep: this.#keep };
  }

  get #loadOptions(): { stream: boolean } {
    return { stream: this.#mode === 'stream' };
  }
}

async function closeAll(modules: (Module | undefined)[]): Promise<void> {
  for (const module of modules) await module?.close();
}
