// The tiny autoencoders TAESD, TAESDXL, TAEF1 and TAEF2, in their author's names and in diffusers'.
import type { TinyAutoencoderConfig } from '../../native/configs.js';
import { sizeOf, type Tensors, type TensorView } from '../tensors.js';
import type { Layout } from './layout.js';

const own = /^((encoder|decoder)\.\d+|bn\.running_(mean|var)$)/;

export const tinyAutoencoderLayouts: Layout[] = [
  {
    kind: 'tiny_autoencoder',
    name: 'TAESD',
    marker: 'decoder.3.conv.0.weight',
    rename: (tensors) => new Map([...tensors].filter(([name]) => own.test(name))),
  },
  {
    kind: 'tiny_autoencoder',
    name: 'TAESD decoder',
    // a file of its own, whose names begin with the places in the sequence: the encoder's ends before this one
    marker: '18.conv.0.weight',
    unless: 'decoder.18.conv.0.weight',
    rename: (tensors) => {
      const places = [...tensors].filter(([name]) => /^\d+\./.test(name));
      return new Map(places.map(([name, view]) => [`decoder.${name}`, view]));
    },
  },
  {
    kind: 'tiny_autoencoder',
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

export function readTinyAutoencoderConfig(tensors: Tensors, where: string): TinyAutoencoderConfig {
  return {
    width: sizeOf(tensors, 'decoder.1.weight', 0, where),
    latentChannels: sizeOf(tensors, 'decoder.1.weight', 1, where),
    pooled: tensors.has('decoder.3.pool.0.weight'),
  };
}
