// What a generation will need, estimated before anything is loaded, against what the machine has free.
import { freemem } from 'node:os';
import type { ModelPlan } from '../families/types.js';
import type { AutoencoderConfig, UnetConfig } from '../native/configs.js';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import type { Size } from './pictures.js';

export interface MemoryEstimate {
  weights: number;
  compute: number;
}

/** Decoding holds about three feature maps of the second level at full resolution, in F32 (measured: 8 to 17 % less). */
const DECODE_MAPS = 3;
/** Pixels of a tile, in which larger pictures are decoded when they can't be decoded whole. */
const TILE_PIXELS = 512 * 512;
/** Denoising holds about so many maps of the first level at latent resolution, skip connections among them. */
const DENOISE_MAPS = 40;

/** What is needed at least: large pictures may be decoded in tiles. */
export function estimateMemory(plan: ModelPlan, { width, height }: Size): MemoryEstimate {
  const { textEncoders, denoiser, autoencoder, latent } = plan;
  const weights = [...textEncoders, denoiser, autoencoder].reduce((sum, { bytes }) => sum + bytes, 0);
  const [first = 64, second = first] = (autoencoder.config as Partial<AutoencoderConfig>).channels ?? [];
  const { modelChannels = 0 } = denoiser.config as Partial<UnetConfig>;
  const decode = Math.min(width * height, TILE_PIXELS) * second * 4 * DECODE_MAPS;
  const denoise = ((width * height) / latent.factor ** 2) * modelChannels * 4 * DENOISE_MAPS;
  return { weights, compute: Math.max(decode, denoise) };
}

/**
 * Refuses what cannot fit into this machine's memory. A forced MEMORY_MODE or a GPU named in DEVICE leaves the word to
 * the engine, which knows that device.
 * @throws ImageForgeError OUT_OF_MEMORY with the figures.
 */
export function requireMemory(
  name: string,
  plan: ModelPlan,
  size: Size,
  { device, memoryMode }: Pick<Config, 'device' | 'memoryMode'>,
  free = readFreeMemory(),
): void {
  if (memoryMode !== 'auto' || (device !== 'auto' && device !== 'cpu')) return;
  const { weights, compute } = estimateMemory(plan, size);
  if (weights + compute <= free) return;
  throw new ImageForgeError(
    'OUT_OF_MEMORY',
    `${name} at ${size.width}x${size.height} needs about ${gigabytes(weights + compute)} ` +
      `(weights ${gigabytes(weights)}, compute ${gigabytes(compute)}); ${gigabytes(free)} are free.`,
    {
      hint: 'Choose a smaller size or a more quantised file, free some memory, or force it with MEMORY_MODE=offload.',
      details: { weights, compute, free },
    },
  );
}

/** Bytes that can be had without swapping, within the container's limit where there is one. */
export function readFreeMemory(): number {
  const available = (process as { availableMemory?: () => number }).availableMemory?.();
  return available && available > 0 ? available : freemem();
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 2 : 1)} GB`;
}
