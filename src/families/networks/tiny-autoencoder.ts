// The tiny autoencoders TAESD, TAESDXL, TAEF1 and TAEF2, in their author's names and in diffusers'.
import { sizeOf, type Tensors, type TensorView } from '../tensors.js';
import { tileMaps } from './estimates.js';
import type { AutoencoderNetwork, Layout } from './network.js';

/** kind 'tiny_autoencoder': TAESD, TAESDXL, TAEF1, TAEF2, their author's names ("decoder.3.conv.0.weight"). Either half may be missing. */
export interface TinyAutoencoderConfig {
  width: number;
  latentChannels: number;
  /** The blocks at the lowest resolution have a branch with group statistics (TAEF2). */
  pooled: boolean;
  /** Latents are packed and normalised (FLUX.2); "bn.running_mean" and "bn.running_var" come from the large autoencoder. */
  patchify?: boolean;
}

const own = /^((encoder|decoder)\.\d+|bn\.running_(mean|var)$)/;

export const tinyAutoencoderLayouts: Layout[] = [
  {
    name: 'TAESD',
    marker: 'decoder.3.conv.0.weight',
    rename: (tensors) => new Map([...tensors].filter(([name]) => own.test(name))),
  },
  {
    name: 'TAESD decoder',
    // a file of the decoder alone: names begin with the layer's number, and the encoder has no layer 18
    marker: '18.conv.0.weight',
    unless: 'decoder.18.conv.0.weight',
    rename: (tensors) => {
      const places = [...tensors].filter(([name]) => /^\d+\./.test(name));
      return new Map(places.map(([name, view]) => [`decoder.${name}`, view]));
    },
  },
  {
    name: 'diffusers',
    marker: 'decoder.layers.2.conv.0.weight',
    rename: (tensors) => {
      const renamed = new Map<string, TensorView>();
      for (const [name, view] of tensors) {
        const [, half, layer, rest] = /^(encoder|decoder)\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
        // the author's decoder counts the clamp before the first convolution
        const place = Number(layer) + (half === 'decoder' ? 1 : 0);
        if (half !== undefined) renamed.set(`${half}.${place}.${rest}`, view);
      }
      return renamed;
    },
  },
];

/** About this many maps at full resolution are held while decoding. */
const MAPS = 3;

export const tinyAutoencoderNetwork: AutoencoderNetwork<'tiny_autoencoder'> = {
  kind: 'tiny_autoencoder',
  title: 'a tiny autoencoder',
  layouts: tinyAutoencoderLayouts,
  option: '--tae',
  tiny: true,
  first: { encoder: 'encoder.0.weight', decoder: 'decoder.1.weight' },
  read: readTinyAutoencoderConfig,
  computeBytes: ({ width }: TinyAutoencoderConfig, workload) => tileMaps(width, MAPS, workload),
};

export function readTinyAutoencoderConfig(tensors: Tensors, where: string): TinyAutoencoderConfig {
  return {
    width: sizeOf(tensors, 'decoder.1.weight', 0, where),
    latentChannels: sizeOf(tensors, 'decoder.1.weight', 1, where),
    pooled: tensors.has('decoder.3.pool.0.weight'),
  };
}
