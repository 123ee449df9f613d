// A plan: what a family makes of a user's files. The pipeline runs it without knowing the family.
import type { Weights } from '../native/addon.js';
import type { TrainedNoise } from '../sampling/trained-noise.js';
import type { Prediction } from '../sampling/types.js';

/** Parts of a model that can have files of their own. */
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
  /** Bytes of its tensors in memory, after conversion of types. */
  bytes: number;
  /** Bytes of its largest tensor. The token table doesn't count: a prompt reads only a few rows of it. */
  largest: number;
}

export interface TextEncoderPlan extends NetworkPlan {
  part: Part;
  /** The states that condition the denoiser, by blocks run (before any clip skip); [layers] is the last state. */
  layers: number[];
  /** Length of a padded row, where the family pads every prompt to one length (FLUX). */
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

/** How many reference pictures a model takes, and of which sizes. */
export interface ReferenceRule {
  /** Most pictures. */
  most: number;
  /** Most pixels of one; larger pictures are scaled down. */
  area: number;
  /** The [width, height] pairs that the model was trained with. The nearest aspect ratio is taken. */
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
  /** Channels of a latent, and pixels on a side of a latent cell. A picture's sides are multiples of `multiple` (default: factor). */
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
  /** Absent: the model takes no reference pictures. */
  references?: ReferenceRule;
  /** For people: what of the files' own words was set aside. */
  notes?: string[];
  /** Files beside the weights that shape pictures: a diffusers scheduler. */
  configFiles?: string[];
}
