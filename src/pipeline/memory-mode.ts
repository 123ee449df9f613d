// Chooses how a run keeps a model's networks in memory: all of them, one at a time, or layer by layer. The choice is made
// before anything is loaded, from estimates of weights and compute buffers.
import { autoencoders, controlNets, denoisers, ofKind, textEncoders } from '../families/networks/index.js';
import type { Workload } from '../families/networks/network.js';
import type { ModelPlan, NetworkPlan } from '../families/types.js';
import type { MemoryChoice, MemoryMode } from '../shared/memory-modes.js';

interface Size {
  width: number;
  height: number;
}

/** Bytes that one network takes while it computes. */
export interface NetworkNeed {
  weights: number;
  compute: number;
  /** Bytes of the weights that must be in memory when they are streamed. */
  streamed: number;
}

/** Bytes that LoRAs take beside the networks: what they add, and weights that they change. These aren't streamed. */
export interface LoraNeed {
  text: number;
  denoiser: number;
}

export interface MemoryNeeds {
  text: NetworkNeed;
  denoiser: NetworkNeed;
  autoencoder: NetworkNeed;
}

/** Ids in a row of a text encoder whose plan says nothing else (CLIP). */
const ROW_LENGTH = 77;
/** Share of the free memory that kept weights may fill: other programs grow, and estimates are inexact. */
const PLANNED = 0.9;
/** Bytes of a stretch of streamed weights. Two are in memory: one computes, one loads (see native/core/stream.h). */
const STRETCH = 2 ** 26;

/**
 * The least memory that a run needs; large pictures may be decoded in tiles. `references` are the sizes of the reference
 * pictures, `control` is a ControlNet that works beside the denoiser, `loras` are what its LoRAs take.
 */
export function estimateNeeds(
  plan: ModelPlan,
  size: Size,
  references: readonly Size[] = [],
  control?: NetworkPlan,
  loras: LoraNeed = { text: 0, denoiser: 0 },
): MemoryNeeds {
  const { denoiser, autoencoder } = plan;
  const area = ({ width, height }: Size) => width * height;
  const rows = plan.textEncoders.map(({ rowLength = ROW_LENGTH }) => rowLength);
  const workload: Workload = {
    pixels: area(size),
    referencePixels: references.reduce((sum, reference) => sum + area(reference), 0),
    factor: plan.latent.factor,
    tokens: Math.max(0, ...rows),
  };
  const text = plan.textEncoders.map((encoder, i) => {
    const network = ofKind(textEncoders, encoder.kind);
    return needOf(encoder, network.computeBytes(encoder.config, { ...workload, tokens: rows[i]! }));
  });
  const denoising = ofKind(denoisers, denoiser.kind).computeBytes(denoiser.config, workload);
  const decoding = ofKind(autoencoders, autoencoder.kind).computeBytes(autoencoder.config, workload);
  return {
    text: {
      ...add([...text, heldBytes(loras.text)]),
      // encoders work one after the other
      compute: Math.max(0, ...text.map(({ compute }) => compute)),
    },
    denoiser: add([
      needOf(denoiser, denoising),
      heldBytes(loras.denoiser),
      ...(control
        ? [needOf(control, ofKind(controlNets, control.kind).computeBytes(control.config, workload))]
        : []),
    ]),
    autoencoder: needOf(autoencoder, decoding),
  };
}

function needOf(plan: NetworkPlan, compute: number): NetworkNeed {
  return { weights: plan.bytes, compute, streamed: streamedBytes(plan) };
}

/** What stays in memory even where weights are streamed. */
function heldBytes(bytes: number): NetworkNeed {
  return { weights: bytes, compute: 0, streamed: bytes };
}

function add(needs: readonly NetworkNeed[]): NetworkNeed {
  const sum = { weights: 0, compute: 0, streamed: 0 };
  for (const { weights, compute, streamed } of needs) {
    sum.weights += weights;
    sum.compute += compute;
    sum.streamed += streamed;
  }
  return sum;
}

export interface MemorySums {
  weights: number;
  compute: number;
  /** Bytes that the modes need. */
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
 * Takes the roomiest mode that fits into `free` bytes, or the mode that was asked for; the reason has the figures. `keep`
 * is the share of the denoiser's streamed weights that stays in memory between steps; 0 if streaming was asked for.
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
