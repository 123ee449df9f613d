// The interface of a family (index.ts lists them), and the steps that the plans of all families share.
import type { Prediction } from '../sampling/types.js';
import { ImageForgeError } from '../shared/errors.js';
import { describeNetworks, type FoundNetwork } from './find-networks.js';
import { autoencoders, hasKind, type NetworkKind, ofKind } from './networks/index.js';
import type { AutoencoderFacts } from './networks/network.js';
import type { FamilyRuntime } from './runtime.js';
import type { WeightSource } from './sources.js';
import { bytesInMemory, type Tensors, totalInMemory, toWeights } from './tensors.js';
import type { Defaults, ModelPlan, NetworkPlan, Part, SamplingFacts } from './types.js';

/** A model as found in its files: one denoiser, and other networks beside it. */
export interface FoundModel {
  name: string;
  denoiser: FoundNetwork;
  networks: FoundNetwork[];
  sources: WeightSource[];
  /** What its family needs beside the denoiser. */
  parts: readonly PartNeed[];
  options: PlanOptions;
}

/** Facts that a caller may override. By default the files' metadata decides, then the tensors. */
export interface PlanOptions {
  prediction?: Prediction;
  textHeads?: number;
}

/** A part of a model: the networks that can fill it, and how a user provides it. */
export interface PartNeed {
  part: Exclude<Part, 'model'>;
  kinds: readonly NetworkKind[];
  /** For people: "CLIP-L text encoder". */
  what: string;
  bring: string;
  /** Catalogue key of the model whose part fits this denoiser. */
  pulledWith?(denoiser: FoundNetwork): string | undefined;
  /** Tells which of several networks of the kind in a full checkpoint is meant. Default: the first. */
  suits?(network: FoundNetwork): boolean;
}

export interface Family {
  id: string;
  /** For people. */
  title: string;
  /** Whether this denoiser belongs to the family. */
  claims(denoiser: FoundNetwork): boolean;
  /** Name of the tiny autoencoder that was trained for its latents: 'taesd'. */
  tiny: string;
  /** The parts that a model needs beside its denoiser. */
  parts: readonly PartNeed[];
  /** @throws ImageForgeError UNSUPPORTED for a denoiser that is made for another task, by that task's name. */
  requireTask?(denoiser: FoundNetwork): void;
  /** What the files say about sampling; absent where there is nothing to say. */
  readSampling?(model: FoundModel): Promise<SamplingFacts>;
  plan(model: FoundModel): Promise<ModelPlan>;
  /** Whether a ControlNet with these tensors was made for its models. Absent: they take none. */
  controlNet?(tensors: Tensors): boolean;
  /** What the pipeline asks while a request runs. */
  runtime: FamilyRuntime;
}

export function planNetwork(kind: NetworkKind, config: object, tensors: Tensors): NetworkPlan {
  const { vocab } = config as { vocab?: number };
  let largest = 0;
  for (const view of tensors.values())
    if (view.shape[0] !== vocab) largest = Math.max(largest, bytesInMemory(view));
  return { kind, config, weights: toWeights(tensors), bytes: totalInMemory(tensors), largest };
}

/** The number `imageforge.<key>` from a file's metadata. A negative value or another type is WEIGHTS_INVALID. */
export function readFact({ metadata, label }: WeightSource, key: string): number | undefined {
  const value = metadata.get(`imageforge.${key}`);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0) {
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${label}: imageforge.${key} is ${String(value)}; a number was expected`,
      {
        details: { file: label },
      },
    );
  }
  return number;
}

function readWord({ metadata }: WeightSource, key: string): string | undefined {
  const value = metadata.get(`imageforge.${key}`);
  return typeof value === 'string' ? value : undefined;
}

/** The family's defaults, unless the file's metadata has others. */
export function readDefaults(source: WeightSource, family: Defaults): Defaults {
  return {
    steps: readFact(source, 'default.steps') ?? family.steps,
    guidance: readFact(source, 'default.guidance') ?? family.guidance,
    width: readFact(source, 'default.width') ?? family.width,
    height: readFact(source, 'default.height') ?? family.height,
    sampler: readWord(source, 'default.sampler') ?? family.sampler,
    schedule: readWord(source, 'default.schedule') ?? family.schedule,
    ...(family.clipSkip !== undefined && { clipSkip: family.clipSkip }),
  };
}

/** How to provide a part: the option that names it, and the command that downloads it. */
export function howToBring({ part, bring, pulledWith }: PartNeed, denoiser: FoundNetwork): string {
  const key = pulledWith?.(denoiser);
  return key === undefined ? bring : `${bring} \`imageforge models pull ${key} --part ${part}\` fetches it.`;
}

/** The network that fills a part: from the file that the user named for it, else from the model's own file. */
export function findPart(model: FoundModel, need: PartNeed): FoundNetwork | undefined {
  const { part, kinds, suits } = need;
  const fitting = model.networks.filter(({ kind }) => kinds.includes(kind));
  const named = fitting.find(({ source }) => source.part === part);
  if (named) return named;
  const source = model.sources.find((source) => source.part === part);
  if (source) throw unfit(source, need, model);
  return fitting.find((network) => network.source.part === 'model' && (!suits || suits(network)));
}

/** As findPart. @throws MODEL_INCOMPLETE, which names every missing part, where there is none. */
export function takePart(model: FoundModel, need: PartNeed): FoundNetwork {
  const network = findPart(model, need);
  if (network) return network;
  const others = model.parts.filter((other) => other.part !== need.part && !findPart(model, other));
  const missing = [need, ...others];
  throw incomplete(model, missing, missing.map(({ what }) => what).join(', no '));
}

function incomplete({ denoiser }: FoundModel, needs: readonly PartNeed[], what: string): ImageForgeError {
  const { label } = denoiser.source;
  return new ImageForgeError('MODEL_INCOMPLETE', `${label} has no ${what}`, {
    hint: needs.map((need) => howToBring(need, denoiser)).join(' '),
    details: { file: label, part: needs[0]!.part, parts: needs.map(({ part }) => part) },
  });
}

function unfit({ label }: WeightSource, need: PartNeed, { denoiser, networks }: FoundModel): ImageForgeError {
  const inside = describeNetworks(networks.filter(({ source }) => source.label === label));
  return new ImageForgeError(
    'WEIGHTS_INVALID',
    `${label} was named for ${need.part}, but has ${inside}, no ${need.what}`,
    {
      hint: howToBring(need, denoiser),
      details: { file: label, part: need.part },
    },
  );
}

/** Refuses a part that the family doesn't have: the user meant another model or another part. */
export function refuseStrangeParts({ title, parts }: Family, { denoiser, sources }: FoundModel): void {
  const taken = parts.map(({ part }) => part);
  const source = sources.find(({ part }) => part !== 'model' && !taken.includes(part));
  if (!source) return;
  const { label } = denoiser.source;
  throw new ImageForgeError(
    'INVALID_ARGUMENT',
    `${source.label} was named for ${source.part}, but ${label} is a ${title} model, whose parts are ${taken.join(', ')}`,
    {
      hint: `Leave out --${source.part.replace('_', '-')}, or name the model that it belongs to.`,
      details: { file: source.label, part: source.part },
    },
  );
}

export interface AutoencoderWish extends Omit<AutoencoderFacts, 'normGroups'> {
  latentChannels: number;
  /** Latents are packed and normalised with stored statistics (FLUX.2). */
  normalised?: boolean;
  /** For people: the family that the autoencoder must belong to. */
  title: string;
  need: PartNeed;
}

/** The autoencoder's part, which a tiny one can fill too. */
export function autoencoderNeed(bring: string, pulledWith?: PartNeed['pulledWith']): PartNeed {
  const need: PartNeed = {
    part: 'vae',
    kinds: ['autoencoder', 'tiny_autoencoder'],
    what: 'autoencoder',
    bring,
  };
  return pulledWith ? { ...need, pulledWith } : need;
}

export function planAutoencoder(model: FoundModel, wish: AutoencoderWish): NetworkPlan {
  const { kind, source, tensors } = takePart(model, wish.need);
  const { first, read, tiny } = ofKind(autoencoders, kind);
  const config = read(tensors, source.label, {
    scale: readFact(source, 'autoencoder.scale') ?? readSetting(source, 'scaling_factor', wish) ?? wish.scale,
    shift: readFact(source, 'autoencoder.shift') ?? readSetting(source, 'shift_factor', wish) ?? wish.shift,
    normGroups: readFact(source, 'autoencoder.norm_groups') ?? 32,
  });
  const hint = howToBring(wish.need, model.denoiser);
  refuseOtherLatents(source.label, first.decoder, config.latentChannels, wish, hint);
  if (!tiny || !wish.normalised) return planNetwork(kind, config, tensors);
  return planNetwork(kind, { ...config, patchify: true }, withStatistics(model, wish, source.label, tensors));
}

/** A number of the config.json beside a diffusers network; normalised latents have no scale of their own. */
function readSetting(
  { config }: WeightSource,
  key: string,
  { normalised }: Pick<AutoencoderWish, 'normalised'>,
): number | undefined {
  const value = normalised ? undefined : config?.[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** Only the large autoencoder's file has the statistics that packed latents are normalised with. */
function withStatistics(
  model: FoundModel,
  { need }: AutoencoderWish,
  label: string,
  tensors: Tensors,
): Tensors {
  const all = new Map(tensors);
  for (const name of ['bn.running_mean', 'bn.running_var']) {
    const large = model.networks.find(
      (network) => hasKind(autoencoders, network.kind) && network.tensors.has(name),
    );
    const view = tensors.get(name) ?? large?.tensors.get(name);
    if (!view) throw incomplete(model, [need], `${name}, which ${label} needs from the large autoencoder`);
    all.set(name, view);
  }
  return all;
}

/** @throws ImageForgeError WEIGHTS_INVALID where an autoencoder's latents aren't those of the model. */
export function refuseOtherLatents(
  label: string,
  tensor: string,
  found: number,
  { latentChannels, title }: Pick<AutoencoderWish, 'latentChannels' | 'title'>,
  hint: string,
): void {
  if (found === latentChannels) return;
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${label}: ${tensor} takes ${found} channels, but ${title} has latents of ${latentChannels}: this autoencoder belongs to another family`,
    { hint, details: { file: label, tensor } },
  );
}
