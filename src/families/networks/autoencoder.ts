// The AutoencoderKL of all families: how to find it in a file, its names, its configuration.
import { countWhile, reshape, sizeOf, type Tensors, type TensorView } from '../tensors.js';
import { tileMaps } from './estimates.js';
import type { AutoencoderFacts, AutoencoderNetwork, Layout } from './network.js';
import { type ModulePair, renamer } from './unet-names.js';

/** kind 'autoencoder': AutoencoderKL, LDM tensor names without prefix ("encoder.conv_in.weight"). */
export interface AutoencoderConfig {
  /** Channels of each level of the decoder, first (full resolution) to last. */
  channels: number[];
  /** Those of the encoder, where they are others (FLUX.2's small decoder). */
  encoderChannels?: number[];
  resBlocks: number;
  latentChannels: number;
  /** latent = (z - shift) * scale */
  scale: number;
  shift: number;
  normGroups: number;
  quantConv: boolean;
  /** FLUX.2: 2 x 2 patches, normalised with the stored batch-norm statistics. */
  patchify?: boolean;
}

const own =
  /^(encoder|decoder)\.(conv_in|conv_out|norm_out|mid|down|up)\.|^(post_)?quant_conv\.|^bn\.running_(mean|var)$/;

export const autoencoderLayouts: Layout[] = [
  {
    name: 'LDM',
    marker: 'decoder.mid.block_1.conv1.weight',
    rename: (tensors) => {
      const renamed = new Map<string, TensorView>();
      for (const [name, view] of tensors) {
        const to = withoutHalf(name);
        if (own.test(to)) renamed.set(to, asConvolution(to, view));
      }
      return renamed;
    },
  },
  {
    name: 'diffusers',
    marker: 'decoder.mid_block.resnets.0.conv1.weight',
    rename: (tensors) => {
      const levels = countWhile(tensors, (level) => `decoder.up_blocks.${level}.resnets.0.conv1.weight`);
      const rename = renamer(autoencoderModulePairs(levels));
      const renamed = new Map<string, TensorView>();
      for (const [name, view] of tensors) {
        const plain = withoutHalf(name);
        const to = /^bn\.running_(mean|var)$/.test(plain) ? plain : rename(plain);
        if (to !== undefined) renamed.set(to, asConvolution(to, view));
      }
      return renamed;
    },
  },
];

/** About this many maps of the second level, at full resolution, are held while decoding (measured: 8 to 17 % less). */
const MAPS = 3;

export const autoencoderNetwork: AutoencoderNetwork<'autoencoder'> = {
  kind: 'autoencoder',
  title: 'an autoencoder',
  layouts: autoencoderLayouts,
  option: '--vae',
  first: { encoder: 'encoder.conv_in.weight', decoder: 'decoder.conv_in.weight' },
  read: readAutoencoderConfig,
  computeBytes: ({ channels: [first = 0, second = first] }: AutoencoderConfig, workload) =>
    tileMaps(second, MAPS, workload),
};

/** FLUX.2 files have the quant convolutions inside the halves. */
function withoutHalf(name: string): string {
  return name.replace(/^(encoder|decoder)\.(?=(post_)?quant_conv\.)/, '');
}

/** Attention's projections are 1 x 1 convolutions, which newer files store as matrices. */
function asConvolution(name: string, view: TensorView): TensorView {
  const matrix = view.shape.length === 2 && /\.attn_1\.(q|k|v|proj_out)\.weight$/.test(name);
  return matrix ? reshape(view, [...view.shape, 1, 1]) : view;
}

const maxResBlocks = 8;

function autoencoderModulePairs(levels: number): ModulePair[] {
  const pairs: ModulePair[] = [
    ['quant_conv', 'quant_conv'],
    ['post_quant_conv', 'post_quant_conv'],
  ];
  for (const half of ['encoder', 'decoder'] as const) {
    pairs.push([`${half}.conv_in`, `${half}.conv_in`], [`${half}.conv_out`, `${half}.conv_out`]);
    pairs.push([`${half}.conv_norm_out`, `${half}.norm_out`]);
    pairs.push([`${half}.mid_block.resnets.0`, `${half}.mid.block_1`]);
    pairs.push([`${half}.mid_block.resnets.1`, `${half}.mid.block_2`]);
    const attention: [string, string][] = [
      ['group_norm', 'norm'],
      ['to_q', 'q'],
      ['to_k', 'k'],
      ['to_v', 'v'],
      ['to_out.0', 'proj_out'],
      ['query', 'q'],
      ['key', 'k'],
      ['value', 'v'],
      ['proj_attn', 'proj_out'],
    ];
    for (const [from, to] of attention)
      pairs.push([`${half}.mid_block.attentions.0.${from}`, `${half}.mid.attn_1.${to}`]);
  }
  for (let level = 0; level < levels; level++) {
    const up = levels - 1 - level;
    pairs.push([`encoder.down_blocks.${level}.downsamplers.0.conv`, `encoder.down.${level}.downsample.conv`]);
    pairs.push([`decoder.up_blocks.${level}.upsamplers.0.conv`, `decoder.up.${up}.upsample.conv`]);
    for (let block = 0; block < maxResBlocks; block++) {
      const halves: ModulePair[] = [
        [`encoder.down_blocks.${level}.resnets.${block}`, `encoder.down.${level}.block.${block}`],
        [`decoder.up_blocks.${level}.resnets.${block}`, `decoder.up.${up}.block.${block}`],
      ];
      for (const [from, to] of halves)
        pairs.push([from, to], [`${from}.conv_shortcut`, `${to}.nin_shortcut`]);
    }
  }
  return pairs;
}

function readChannels(tensors: Tensors, path: string, where: string): number[] {
  const levels = countWhile(tensors, (level) => `${path}.${level}.block.0.conv2.weight`);
  return Array.from({ length: levels }, (_, level) =>
    sizeOf(tensors, `${path}.${level}.block.0.conv2.weight`, 0, where),
  );
}

export function readAutoencoderConfig(
  tensors: Tensors,
  where: string,
  facts: AutoencoderFacts,
): AutoencoderConfig {
  const channels = readChannels(tensors, 'decoder.up', where);
  const encoderChannels = readChannels(tensors, 'encoder.down', where);
  const differ = encoderChannels.some((width, level) => width !== channels[level]);
  return {
    channels,
    ...(differ && encoderChannels.length === channels.length && { encoderChannels }),
    resBlocks: countWhile(tensors, (block) => `decoder.up.0.block.${block}.conv2.weight`) - 1,
    latentChannels: sizeOf(tensors, 'decoder.conv_in.weight', 1, where),
    quantConv: tensors.has('post_quant_conv.weight'),
    ...(tensors.has('bn.running_mean') && { patchify: true }),
    ...facts,
  };
}
