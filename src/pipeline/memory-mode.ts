// How a run keeps a model's networks in memory: all of them, one after the other, or a network's layers one after the
// other. Chosen before anything is loaded, from estimates of weights and compute buffers.
import type { ModelPlan, NetworkPlan } from '../families/types.js';
import type { AutoencoderConfig, CausalLmConfig, FluxConfig, UnetConfig } from '../native/configs.js';
import type { MemoryChoice, MemoryMode } from '../shared/memory-modes.js';

interface Size {
  width: number;
  height: number;
}

/** Bytes that one network holds while it works. */
export interface NetworkNeed {
  weights: number;
  compute: number;
  /** Of the weights at least, where they are streamed. */
  streamed: number;
}

export interface MemoryNeeds {
  text: NetworkNeed;
  denoiser: NetworkNeed;
  autoencoder: NetworkNeed;
}

/** Decoding holds about three feature maps of the second level at full resolution, in F32 (measured: 8 to 17 % less). */
const DECODE_MAPS = 3;
/** Pixels of a tile, in which larger pictures are decoded when they can't be decoded whole. */
const TILE_PIXELS = 512 * 512;
/** A UNet holds about so many maps of the first level at latent resolution, skip connections among them. */
const UNET_MAPS = 40;
/**
 * What a ControlNet hands to the UNet: about so many of these maps for each of the two halves of guidance, once where
 * they are kept and once as inputs of the UNet's graph.
 */
const RESIDUAL_MAPS = 4 * 5;
/** A transformer block holds about so many states of all its tokens: projections, heads, the feed-forward's middle. */
const FLUX_STATES = 24;
const TEXT_STATES = 16;
/** Of free memory so much is planned with where weights are to stay in it: others grow, and estimates miss. */
const PLANNED = 0.9;
/** Of streamed weights two stretches are in memory: one computes, the next one comes (see native/core/stream.h). */
const STRETCH = 2 ** 26;

/**
 * What is needed at least: large pictures may be decoded in tiles. `references` are pictures that the denoiser sees,
 * `control` is a ControlNet that works beside it.
 */
export function estimateNeeds(
  plan: ModelPlan,
  size: Size,
  references: readonly Size[] = [],
  control?: NetworkPlan,
): MemoryNeeds {
  const { textEncoders, denoiser, autoencoder } = plan;
  const text = textEncoders.map((encoder) => ({
    weights: encoder.bytes,
    compute: textCompute(encoder, encoder.rowLength ?? 77),
    streamed: streamedBytes(encoder),
  }));
  return {
    text: {
      weights: text.reduce((sum, { weights }) => sum + weights, 0),
      compute: Math.max(0, ...text.map(({ compute }) => compute)),
      streamed: text.reduce((sum, { streamed }) => sum + streamed, 0),
    },
    denoiser: {
      weights: denoiser.bytes + (control?.bytes ?? 0),
      compute: denoiserCompute(plan, size, references) + (control ? unetMaps(plan, size, RESIDUAL_MAPS) : 0),
      streamed: streamedBytes(denoiser) + (control ? streamedBytes(control) : 0),
    },
    autoencoder: {
      weights: autoencoder.bytes,
      compute: decodeCompute(autoencoder, size),
      streamed: streamedBytes(autoencoder),
    },
  };
}

export interface MemorySums {
  weights: number;
  compute: number;
  /** Bytes that each mode needs. */
  full: number;
  offload: number;
  stream: number;
}

export function sumNeeds(needs: MemoryNeeds): MemorySums {
  const all: NetworkNeed[] = Object.values(needs);
  const weights = all.reduce((sum, need) => sum + need.weights, 0);
  const compute = Math.max(...all.map((need) => need.compute));
  return {
    weights,
    compute,
    full: weights + compute,
    offload: Math.max(...all.map((need) => need.weights + need.compute)),
    stream: Math.max(...all.map((need) => need.streamed + need.compute)),
  };
}

/**
 * The roomiest mode that fits into `free` bytes, or the forced one; the reason has the figures. `keep` is the share of
 * the denoiser's weights that stays in memory from step to step though they are streamed: none where that was forced.
 */
export function chooseMemoryMode(
  choice: MemoryChoice,
  needs: MemoryNeeds,
  free: number,
): { mode: MemoryMode; reason: string; keep: number } {
  const sums = sumNeeds(needs);
  const fitting = sums.full <= free ? 'full' : sums.offload <= free ? 'offload' : 'stream';
  const mode = choice === 'auto' ? fitting : choice;
  const figures =
    `all networks need about ${formatGigabytes(sums.full)} ` +
    `(weights ${formatGigabytes(sums.weights)}, compute ${formatGigabytes(sums.compute)}), ` +
    `the largest alone ${formatGigabytes(sums.offload)}, streamed ${formatGigabytes(sums.stream)}; ` +
    `${formatGigabytes(free)} are free`;
  const keep = mode === 'stream' && choice === 'auto' ? shareThatFits(needs.denoiser, free) : 0;
  const kept =
    keep > 0 ? `; ${Math.floor(keep * 100)} % of the denoiser's weights stay between its steps` : '';
  return {
    mode,
    reason: `memory mode ${mode}${choice === 'auto' ? '' : ' as asked'}: ${figures}${kept}`,
    keep,
  };
}

function shareThatFits({ weights, compute, streamed }: NetworkNeed, free: number): number {
  return Math.min(1, Math.max(0, PLANNED * free - compute - streamed) / weights);
}

function streamedBytes({ bytes, largest }: NetworkPlan): number {
  return Math.min(bytes, 2 * Math.max(STRETCH, largest));
}

export function formatGigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 2 : 1)} GB`;
}

function textCompute({ config }: NetworkPlan, tokens: number): number {
  const { width = 0, intermediate = 4 * width } = config as Partial<CausalLmConfig>;
  return tokens * (TEXT_STATES * width + 3 * intermediate) * 4;
}

function denoiserCompute(plan: ModelPlan, size: Size, references: readonly Size[]): number {
  const { denoiser, textEncoders } = plan;
  if (denoiser.kind !== 'flux') return unetMaps(plan, size, UNET_MAPS);
  const cells = (side: number) =>
    [size, ...references].reduce((sum, s) => sum + (s.width * s.height) / side ** 2, 0);
  const { width } = denoiser.config as FluxConfig;
  const text = Math.max(...textEncoders.map(({ rowLength = 0 }) => rowLength));
  return (cells(16) + text) * width * 4 * FLUX_STATES;
}

function unetMaps({ denoiser, latent }: ModelPlan, { width, height }: Size, maps: number): number {
  const { modelChannels = 0 } = denoiser.config as Partial<UnetConfig>;
  return ((width * height) / latent.factor ** 2) * modelChannels * 4 * maps;
}

function decodeCompute({ config }: NetworkPlan, { width, height }: Size): number {
  const [first = 64, second = first] = (config as Partial<AutoencoderConfig>).channels ?? [];
  return Math.min(width * height, TILE_PIXELS) * second * 4 * DECODE_MAPS;
}
