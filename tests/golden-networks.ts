// The networks of golden cases, with the configurations that their case.json states. What a case doesn't state is read
// from the tensors, and what it does state must match what the families read from them.
import { expect } from 'vitest';
import { type FoundNetwork, findNetworks } from '../src/families/find-networks.js';
import type { AutoencoderConfig } from '../src/families/networks/autoencoder.js';
import { readAutoencoderConfig } from '../src/families/networks/autoencoder.js';
import type { CausalLmConfig } from '../src/families/networks/causal-lm.js';
import { readCausalLm } from '../src/families/networks/causal-lm.js';
import type { ClipConfig } from '../src/families/networks/clip.js';
import { readClip } from '../src/families/networks/clip.js';
import type { FluxConfig } from '../src/families/networks/flux.js';
import { readFluxConfig } from '../src/families/networks/flux.js';
import type { NetworkKind } from '../src/families/networks/index.js';
import type { T5Config } from '../src/families/networks/t5.js';
import { readT5Config } from '../src/families/networks/t5.js';
import type { TinyAutoencoderConfig } from '../src/families/networks/tiny-autoencoder.js';
import { readTinyAutoencoderConfig } from '../src/families/networks/tiny-autoencoder.js';
import type { UnetConfig } from '../src/families/networks/unet.js';
import { readUnetConfig } from '../src/families/networks/unet.js';
import { openSources } from '../src/families/sources.js';
import { type Tensors, toWeights } from '../src/families/tensors.js';
import type { Weights } from '../src/native/addon.js';
import type { GoldenCase } from './golden.js';

export interface GoldenNetwork<Config> {
  config: Config;
  tensors: Tensors;
  weights: Weights;
}

/** Finds networks of a kind in a file, by the prefixes of their names. */
export async function networksIn(path: string, kind: NetworkKind): Promise<FoundNetwork[]> {
  const [source] = await openSources({ model: path });
  const found = findNetworks(source!).filter((network) => network.kind === kind);
  if (found.length === 0) throw new Error(`${path} has no ${kind}.`);
  return found.sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
}

/** Throws if a case states something other than the families read. What it doesn't state is undefined. */
function expectStated(found: object, stated: object): void {
  const known = Object.entries(stated).filter(([, value]) => value !== undefined);
  expect(found).toMatchObject(Object.fromEntries(known));
}

function network<Config>(config: Config, tensors: Tensors): GoldenNetwork<Config> {
  return { config, tensors, weights: toWeights(tensors) };
}

interface UnetStatement {
  channels: number[];
  depth?: number[];
  middle_depth?: number;
  model_channels?: number;
  layers_per_block?: number;
  norm_groups?: number;
  heads?: number;
  head_dim?: number;
  context: number;
  in_channels?: number;
  linear_projection?: boolean;
  /** SDXL: the pooled text, and the sinusoidal embeddings of six sizes. */
  pooled?: number;
  time_id_embedding?: number;
}

/** Configuration that a UNet's tensors don't show. */
export function unetFacts({ norm_groups, heads, head_dim }: Partial<UnetStatement>) {
  return {
    normGroups: norm_groups ?? 32,
    ...(heads !== undefined && { heads }),
    ...(head_dim !== undefined && { headDim: head_dim }),
  };
}

export async function readUnet(golden: GoldenCase): Promise<GoldenNetwork<UnetConfig>> {
  const path = golden.weights();
  const { tensors } = (await networksIn(path, 'unet'))[0]!;
  const stated = golden.config<UnetStatement>();
  const config = readUnetConfig(tensors, path, unetFacts(stated));
  const { pooled, time_id_embedding } = stated;
  expectStated(config, {
    channels: stated.channels,
    depth: stated.depth,
    middleDepth: stated.middle_depth,
    modelChannels: stated.model_channels,
    resBlocks: stated.layers_per_block,
    contextWidth: stated.context,
    inChannels: stated.in_channels,
    linearProjection: stated.linear_projection,
    vectorWidth: pooled && time_id_embedding && pooled + 6 * time_id_embedding,
  });
  return network(config, tensors);
}

interface AutoencoderStatement {
  block_out_channels: number[];
  layers_per_block: number;
  latent_channels: number;
  norm_groups: number;
  scaling_factor: number;
  shift_factor: number;
  /** FLUX.2: the side of the patches into which latents are packed. */
  patch?: number;
}

export async function readAutoencoder(golden: GoldenCase): Promise<GoldenNetwork<AutoencoderConfig>> {
  const path = golden.weights();
  const { tensors } = (await networksIn(path, 'autoencoder'))[0]!;
  const stated = golden.config<AutoencoderStatement>();
  const config = readAutoencoderConfig(tensors, path, {
    scale: stated.scaling_factor,
    shift: stated.shift_factor,
    normGroups: stated.norm_groups,
  });
  expectStated(config, {
    channels: stated.block_out_channels,
    resBlocks: stated.layers_per_block,
    latentChannels: stated.latent_channels,
    patchify: stated.patch === undefined ? undefined : true,
  });
  return network(config, tensors);
}

interface ClipStatement {
  width: number;
  layers: number;
  heads: number;
  intermediate: number;
  vocab: number;
  positions: number;
  eos: number;
  activation: string;
}

/** `part` is a key of the case's config. The encoders are ordered by the prefixes of their names in the file. */
export async function readClipEncoder(golden: GoldenCase, part: string): Promise<GoldenNetwork<ClipConfig>> {
  const path = golden.weights();
  const parts = Object.keys(golden.facts.config);
  const found = (await networksIn(path, 'clip'))[parts.indexOf(part)]!;
  const stated = golden.config<ClipStatement>(part);
  const { config, tensors } = readClip(found.tensors, path, {
    activation: stated.activation.includes('erf') ? 'gelu' : 'quick_gelu',
    projected: golden.expected.has(answerOf(part, 'pooled_projected')),
    heads: stated.heads,
  });
  const { width, layers, intermediate, vocab, positions } = stated;
  expectStated(config, { width, layers, intermediate, vocab, positions });
  return network({ ...config, endToken: stated.eos }, tensors);
}

/** The name of an expected tensor of one encoder; '' means the only encoder. */
export function answerOf(part: string, name: string): string {
  return part === '' ? name : `${part}.${name}`;
}

interface T5Statement {
  d_model: number;
  d_kv: number;
  heads: number;
  d_ff: number;
  layers: number;
  vocab: number;
  buckets: number;
  max_distance: number;
}

export async function readT5(golden: GoldenCase, suffix: string): Promise<GoldenNetwork<T5Config>> {
  const path = golden.weights(suffix);
  const { tensors } = (await networksIn(path, 't5'))[0]!;
  const stated = golden.config<T5Statement>();
  const config = readT5Config(tensors, path);
  const { heads, layers, vocab, buckets } = stated;
  expectStated(config, { heads, layers, vocab, buckets });
  expectStated(config, { width: stated.d_model, headDim: stated.d_kv, intermediate: stated.d_ff });
  return network({ ...config, maxDistance: stated.max_distance }, tensors);
}

interface CausalLmStatement {
  width: number;
  heads: number;
  kv_heads: number;
  head_dim: number;
  ff: number;
  vocab: number;
  rope_theta: number;
  eps: number;
  qk_norm: boolean;
  /** After how many blocks the transformer takes the states. */
  taps: number[];
}

export interface GoldenLanguageModel extends GoldenNetwork<CausalLmConfig> {
  taps: number[];
}

/** `path` is a file of the case's language model. */
export async function readLanguageModel(
  path: string,
  stated: CausalLmStatement,
): Promise<GoldenLanguageModel> {
  const found = (await networksIn(path, 'causal_lm'))[0]!;
  const { rope_theta: theta, eps, head_dim: headDim, taps } = stated;
  // llama.cpp permutes q and k of Llama-type models, which have no norms on them
  const ropeInterleaved = found.layout === 'llama.cpp' && !stated.qk_norm;
  const facts = { theta, eps, headDim, ropeInterleaved };
  const { config, tensors } = readCausalLm(found.tensors, path, Math.max(...taps), facts);
  const { width, heads, vocab } = stated;
  expectStated(config, { width, heads, vocab, headDim, intermediate: stated.ff });
  expectStated(config, { kvHeads: stated.kv_heads, qkNorm: stated.qk_norm });
  return { ...network(config, tensors), taps };
}

interface FluxStatement {
  heads: number;
  head_dim: number;
  axes_dim: number[];
  theta?: number;
  double_blocks: number;
  single_blocks: number;
  context: number;
  pooled?: number;
  guidance: boolean;
}

export async function readFlux(golden: GoldenCase, path = golden.weights()) {
  const { tensors } = (await networksIn(path, 'flux'))[0]!;
  const stated = golden.config<FluxStatement>();
  const config = readFluxConfig(tensors, path);
  const { heads, guidance } = stated;
  expectStated(config, { heads, guidance, width: heads * stated.head_dim });
  expectStated(config, { doubleBlocks: stated.double_blocks, singleBlocks: stated.single_blocks });
  expectStated(config, { contextWidth: stated.context, vectorWidth: stated.pooled });
  return network(withStated(config, stated), tensors);
}

/** Adds the rotary embedding that a case states, which no tensor shows, to the configuration. */
export function withStated(config: FluxConfig, { axes_dim, theta }: Partial<FluxStatement>): FluxConfig {
  return { ...config, axes: axes_dim ?? config.axes, theta: theta ?? config.theta };
}

interface TinyAutoencoderStatement {
  width: number;
  latent_channels: number;
  pooled: boolean;
}

export async function readTinyAutoencoder(golden: GoldenCase): Promise<GoldenNetwork<TinyAutoencoderConfig>> {
  const path = golden.weights();
  const { tensors } = (await networksIn(path, 'tiny_autoencoder'))[0]!;
  const { width, latent_channels: latentChannels, pooled } = golden.config<TinyAutoencoderStatement>();
  const config = readTinyAutoencoderConfig(tensors, path);
  expectStated(config, { width, latentChannels, pooled });
  return network(config, tensors);
}
