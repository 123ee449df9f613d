// What a family makes of the files that a user names: a plan that the pipeline runs without knowing the family.
import type { Weights } from '../native/addon.js';
import type { TrainedNoise } from '../sampling/trained-noise.js';
import type { Prediction } from '../sampling/types.js';

/** Parts of a model that may lie in files of their own. */
export type Part = 'model' | 'vae' | 'clip_l' | 'clip_g' | 't5xxl' | 'llm';

/** Paths by part; 'model' alone is a full checkpoint. */
export type ModelFiles = {
  /** The checkpoint, or the denoiser alone. */
  model: string;
} & Partial<Record<Exclude<Part, 'model'>, string>>;

export interface NetworkPlan {
  /** Name in the addon's registry: 'clip', 'unet', 'autoencoder', … */
  kind: string;
  config: object;
  weights: Weights;
  /** Bytes of its tensors in memory, where some of a file's types become others. */
  bytes: number;
  /** Of these the largest tensor's, but for a table of tokens, of which a prompt reads a few rows. */
  largest: number;
}

export interface TextEncoderPlan extends NetworkPlan {
  part: Part;
  /** Counts of blocks whose states condition the denoiser (before any clip skip): [layers] is the last state. */
  layers: number[];
  /** Ids in a padded row, where the family pads every prompt to one length (FLUX). */
  rowLength?: number;
}

export interface Defaults {
  steps: number;
  guidance: number;
  width: number;
  height: number;
  sampler: string;
  schedule: string;
  /** Default: 1. */
  clipSkip?: number;
}

/** How a model's latents are spread: (z - mean) * scale / std is what the denoiser knows, by channel. */
export interface LatentStatistics {
  mean: number[];
  std: number[];
  scale: number;
}

/** What a model's files say about sampling. */
export interface SamplingFacts {
  prediction: Prediction;
  noise: TrainedNoise;
  /** Who told, for people: "the tensor v_pred". */
  told: { prediction: string; noise: string };
  /** What the noise and the files suggest instead of the family's defaults. */
  defaults: Partial<Defaults>;
  statistics?: LatentStatistics;
  /** Contradictions and what was set aside, for people. */
  notes: string[];
}

/** Which reference pictures a model looks at, and how large they may be. */
export interface ReferenceRule {
  /** Pictures at most. */
  most: number;
  /** Pixels at most; larger ones are scaled down. */
  area: number;
  /** [width, height] that the model was trained with: the one of the nearest proportions is taken. */
  sizes?: readonly (readonly [number, number])[];
}

export interface ModelPlan {
  /** Key of the family in families/index.ts: 'sd1', … */
  family: string;
  /** For people: from the file's metadata, else its base name. */
  name: string;
  prediction: Prediction;
  /** Of diffusion models: the noise that they were trained on. */
  noise?: TrainedNoise;
  /** Who told prediction and noise, for people. */
  told?: SamplingFacts['told'];
  /** The denoiser takes mask and masked image as extra channels. */
  inpaint: boolean;
  /** Channels of a latent and pixels per latent cell; sides in pixels are multiples of `multiple` (default: factor). */
  latent: {
    channels: number;
    factor: number;
    multiple?: number;
    /** Latents are normalised; `familyScale` is what the family's autoencoders multiply theirs by. */
    statistics?: LatentStatistics & { familyScale: number };
  };
  textEncoders: TextEncoderPlan[];
  denoiser: NetworkPlan;
  autoencoder: NetworkPlan;
  defaults: Defaults;
  /** undefined: it takes no reference pictures. */
  references?: ReferenceRule;
  /** For people: what of the files' own words was set aside. */
  notes?: string[];
  /** Files beside the weights that shape pictures: a diffusers scheduler. */
  configFiles?: string[];
}
