// An autoencoder for models whose latents are normalised by channel (Playground 2.5): what the denoiser knows is
// (z - mean) * scale / std, where z is the autoencoder's latent without any scale of its own.
import type { AutoencoderConfig } from '../families/networks/autoencoder.js';
import type { ModelPlan, NetworkPlan } from '../families/types.js';
import type { Autoencoder, Tensor } from '../native/addon.js';

/** One factor and one addend a channel: the autoencoder's own latent = factor * the denoiser's + addend. */
export interface LatentMap {
  factor: number[];
  addend: number[];
}

/** The network gives latents (z - shift) * scale; a tiny one was trained on those of its family. */
export function mapLatents(
  { mean, std, scale, familyScale }: NonNullable<ModelPlan['latent']['statistics']>,
  { kind, config }: Pick<NetworkPlan, 'kind' | 'config'>,
): LatentMap {
  const large = config as AutoencoderConfig;
  const own =
    kind === 'tiny_autoencoder'
      ? { scale: familyScale, shift: 0 }
      : { scale: large.scale, shift: large.shift };
  return {
    factor: std.map((deviation) => (deviation / scale) * own.scale),
    addend: mean.map((value) => (value - own.shift) * own.scale),
  };
}

/** `autoencoder` as the denoiser sees it. Without statistics it is returned as it is. */
export function normaliseLatents(
  autoencoder: Autoencoder,
  plan: Pick<NetworkPlan, 'kind' | 'config'>,
  statistics: ModelPlan['latent']['statistics'],
): Autoencoder {
  if (!statistics) return autoencoder;
  const { factor, addend } = mapLatents(statistics, plan);
  const toOwn = (latent: Tensor) => apply(latent, (value, c) => value * factor[c]! + addend[c]!);
  return {
    get bytes() {
      return autoencoder.bytes;
    },
    setLoras: (loras) => autoencoder.setLoras(loras),
    rest: () => autoencoder.rest(),
    close: () => autoencoder.close(),
    decode: (latent) => autoencoder.decode(toOwn(latent)),
    decodeFloat: (latent) => autoencoder.decodeFloat(toOwn(latent)),
    encode: async (image) => {
      const { mean, std } = await autoencoder.encode(image);
      return {
        mean: apply(mean, (value, c) => (value - addend[c]!) / factor[c]!),
        ...(std && { std: apply(std, (value, c) => value / factor[c]!) }),
      };
    },
  };
}

function apply({ data, shape }: Tensor, change: (value: number, channel: number) => number): Tensor {
  const cells = data.length / shape[0]!;
  return { data: data.map((value, i) => change(value, Math.floor(i / cells))), shape };
}
