// Tiny autoencoders (TAESD, TAESDXL, TAEF1, TAEF2) beside a model: which one fits, and its plan. Latents of
// different shapes tell families apart. SD 1.x, 2.x and SDXL have the same shape, so that only words help: the file's
// metadata, its name and its folders. The user's choice is followed; a note says when the words disagree with it.
import type { Weights } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { planNetwork, refuseOtherLatents } from './family.js';
import { describeNetworks, type FoundNetwork, findNetworks } from './find-networks.js';
import { families, findFamily } from './index.js';
import type { AutoencoderConfig } from './networks/autoencoder.js';
import { autoencoders, ofKind } from './networks/index.js';
import type { AutoencoderFacts } from './networks/network.js';
import { openSources, type WeightSource } from './sources.js';
import { sizeOf } from './tensors.js';
import type { ModelPlan, NetworkPlan } from './types.js';

/** Channels by level of the autoencoders that the published tiny ones were trained against. */
const PUBLISHED = [128, 256, 512, 512];

export interface TinyAutoencoderPlan extends NetworkPlan {
  /** The tiny autoencoder that the file's words name: 'taesd', …; undefined where they name none. */
  called: string | undefined;
}

/**
 * The tiny autoencoder that was trained for a model's latents: its name, and that of its repository. undefined for a model with an
 * autoencoder of its own, since no published one fits its latents.
 */
export function nameTinyAutoencoder({ family, autoencoder }: ModelPlan): string | undefined {
  const { channels } = autoencoder.config as Partial<AutoencoderConfig>;
  if (channels && String(channels) !== String(PUBLISHED)) return undefined;
  return families.find(({ id }) => id === family)?.tiny;
}

/** Whether a network of this kind is a tiny autoencoder. */
export function isTiny(kind: string): boolean {
  return autoencoders.some((network) => network.tiny && network.kind === kind);
}

/** 'taesd', 'taesdxl', …: the first such name in a text. */
export function readTinyName(text: string): string | undefined {
  return /(?<![a-z])tae(?:sd|f|w|hv|m)[a-z]*\d*/i.exec(text)?.[0].toLowerCase();
}

/**
 * Reads the header only.
 * @throws ImageForgeError WEIGHTS_INVALID for a file without a tiny decoder or with another family's latents, and those
 *   of reading.
 */
export async function planTinyAutoencoder(path: string, model: ModelPlan): Promise<TinyAutoencoderPlan> {
  const sources = await openSources({ model: path });
  const networks = sources.flatMap(findNetworks);
  const found = networks.find(({ kind }) => isTiny(kind));
  const network = found && ofKind(autoencoders, found.kind);
  if (!network || !found.tensors.has(network.first.decoder)) {
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${path} has ${describeNetworks(networks)}; a tiny autoencoder with its decoder was expected`,
      { hint: howToBring(model), details: { file: path, part: 'tae' } },
    );
  }
  const { kind, tensors, source } = found;
  const large = model.autoencoder.config as AutoencoderFacts & { latentChannels: number; patchify?: true };
  const config = network.read(tensors, source.label, large);
  const wish = { latentChannels: large.latentChannels, title: findFamily(model.family).title };
  refuseOtherLatents(source.label, network.first.decoder, config.latentChannels, wish, howToBring(model));
  const called = readWords(source);
  if (!large.patchify) return { ...planNetwork(kind, config, tensors), called };
  const plan = planNetwork(kind, { ...config, patchify: true }, tensors);
  return { ...plan, weights: withStatistics(plan.weights, model.autoencoder.weights), called };
}

/** The tiny autoencoder that a file says it is: in its metadata, else in its name, else in its folders' names. */
export function readWords({ metadata, label }: WeightSource): string | undefined {
  const titles = ['general.name', 'modelspec.title'].map((key) => String(metadata.get(key) ?? ''));
  for (const text of [...titles, ...label.split(/[\\/]/).reverse()]) {
    const name = readTinyName(text);
    if (name !== undefined) return name;
  }
  return undefined;
}

/** One line for people. */
export function describeTinyAutoencoder({ kind, source, tensors }: FoundNetwork): string {
  const { first } = ofKind(autoencoders, kind);
  const channels = sizeOf(tensors, first.decoder, 1, source.label);
  const called = readWords(source);
  const owners = families.filter(({ tiny }) => tiny === called).map(({ title }) => title);
  const whose =
    owners.length > 0 ? `${called} by its name, for ${owners.join(' and ')}` : 'of an unknown family';
  const half = tensors.has(first.encoder) ? '' : ', the decoder alone';
  return `tiny autoencoder for latents of ${channels} channels (${whose})${half}`;
}

/** Adds the statistics that normalise FLUX.2's latents. Only the large autoencoder's file has them. */
function withStatistics(tiny: Weights, large: Weights): Weights {
  if (tiny.tensors.some(({ name }) => name === 'bn.running_mean')) return tiny;
  const statistics = large.tensors.filter(({ name }) => name.startsWith('bn.running_'));
  return {
    files: [...tiny.files, ...large.files],
    tensors: [
      ...tiny.tensors,
      ...statistics.map((entry) => ({ ...entry, file: entry.file + tiny.files.length })),
    ],
  };
}

function howToBring(model: ModelPlan): string {
  const name = families.find(({ id }) => id === model.family)?.tiny;
  return name === undefined
    ? 'Name another model: none is published for this one.'
    : `The one for this model is ${name}, published as madebyollin/${name} on the Hugging Face hub; name its safetensors file with --tae FILE.`;
}
