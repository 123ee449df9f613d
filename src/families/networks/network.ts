// What the program knows about a network, beside the native code that computes it. Each file in this folder describes
// one network, and index.ts lists them. No other code asks which network it has.
import type { WantedTokenizer } from '../../text/load-tokenizer.js';
import type { Tensors, TensorView } from '../tensors.js';
import type { NetworkPlan } from '../types.js';

/** One published set of tensor names for a network. */
export interface Layout {
  /** Whose names these are, for people. */
  name: string;
  /** A tensor that every file of this layout has, without prefix. */
  marker: string;
  /** The end of longer names that end with the marker and belong to another network. */
  unless?: string;
  /** Takes names without prefix, returns the network's own names, and leaves out tensors of other networks. */
  rename(tensors: Tensors): Map<string, TensorView>;
}

/** The sizes of one call, from which a network's memory follows. */
export interface Workload {
  /** Pixels of the picture. */
  pixels: number;
  /** Pixels of all reference pictures together. */
  referencePixels: number;
  /** Pixels on a side of a latent cell. */
  factor: number;
  /** Tokens in a text encoder's row. For a denoiser: in the longest of its text encoders' rows. */
  tokens: number;
}

/** A module in diffusers' names, and the place of its weight in the network's own. */
export interface DiffusersModule {
  diffusers: string;
  own: string;
  /** First row that this module fills in a fused matrix, and how many rows it has. */
  row?: number;
  rows?: number;
  /** Its two halves are in the other order. */
  swapped?: boolean;
}

/** `config` is always what the network's own reader returned. */
export interface Network<Kind extends string = string> {
  /** Its name in the native list (native/models/registry.cpp). */
  kind: Kind;
  /** For people, with its article: 'a UNet'. */
  title: string;
  layouts: readonly Layout[];
  /** The option that names a file with this network alone. */
  option?: string;
  /** Estimated bytes of compute buffers. */
  computeBytes(config: object, workload: Workload): number;
  /** Its modules in diffusers' names and in those of trainers with their own, by which LoRAs may address them. */
  diffusersModules?(config: object): DiffusersModule[];
}

export interface DenoiserNetwork<Kind extends string = string> extends Network<Kind> {}

export interface TextEncoderNetwork<Kind extends string = string> extends Network<Kind> {
  /** The tokenizer that comes in its file or beside it. Absent: the program brings the tokenizer (CLIP). */
  tokenizer?(config: object): WantedTokenizer;
  /** Takes learned vectors (textual inversion) in the place of tokens. */
  takesVectors?: true;
}

/** What an autoencoder's tensors don't tell. */
export interface AutoencoderFacts {
  /** latent = (z - shift) * scale */
  scale: number;
  shift: number;
  normGroups: number;
}

export interface AutoencoderNetwork<Kind extends string = string> extends Network<Kind> {
  /** Made for previews and fast decoding, beside a large one. */
  tiny?: true;
  /** The first weight of each half. The decoder's takes the latent; files may lack the encoder. */
  first: { encoder: string; decoder: string };
  read(tensors: Tensors, where: string, facts: AutoencoderFacts): { latentChannels: number };
}

export interface ControlNetNetwork<Kind extends string = string> extends Network<Kind> {
  /** The kind of denoiser that it works beside. */
  denoiser: string;
  /** Its configuration, read against the denoiser's; `inChannels` are those of the latent. */
  read(tensors: Tensors, where: string, denoiser: NetworkPlan): { inChannels: number };
  /** What must be equal in a ControlNet and its denoiser, for people. `latentChannels` are the denoiser's. */
  describe(config: object, latentChannels: number): string;
  /** Names of the tensors that it must have. */
  listTensors(config: object, denoiser: NetworkPlan): string[];
}

export interface UpscalerNetwork<Kind extends string = string> extends Network<Kind> {
  read(tensors: Tensors, where: string): UpscalerFacts;
}

export interface UpscalerFacts {
  config: object;
  /** How many times larger a picture's sides become. */
  scale: number;
  /** Sides of what it takes are multiples of this. */
  multiple: number;
  /** One line for people. */
  summary: string;
}
