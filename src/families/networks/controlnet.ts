// ControlNet for the UNets of Stable Diffusion: two sets of names for one network, and its configuration.
import { sizeOf, type Tensors, type TensorView } from '../tensors.js';
import type { NetworkPlan } from '../types.js';
import type { ControlNetNetwork, Layout } from './network.js';
import { readEncoderConfig, renameDiffusers, type UnetConfig, unetMaps, unetNetwork } from './unet.js';

/** kind 'controlnet': ControlNet for such UNets, the original's names without prefix ("zero_convs.0.0.weight"). */
export interface ControlNetConfig extends Omit<UnetConfig, 'outChannels'> {
  /** Channels of the convolutions that read the picture, at full size and after each of three halvings. */
  hintChannels: number[];
}

const own =
  /^(input_blocks|middle_block|time_embed|label_emb|input_hint_block|zero_convs|middle_block_out)\./;

export const controlNetLayouts: Layout[] = [
  {
    name: 'original',
    marker: 'zero_convs.0.0.weight',
    rename: (tensors) => new Map([...tensors].filter(([name]) => own.test(name))),
  },
  {
    name: 'diffusers',
    marker: 'controlnet_down_blocks.0.weight',
    rename: renameControlNet,
  },
];

/**
 * What it hands to the UNet: about this many maps for each of the two halves of guidance, once where they are kept and
 * once as inputs of the UNet's graph.
 */
const MAPS = 4 * 5;

export const controlNetNetwork: ControlNetNetwork<'controlnet'> = {
  kind: 'controlnet',
  title: 'a ControlNet',
  layouts: controlNetLayouts,
  denoiser: unetNetwork.kind,
  read: readControlNetConfig,
  describe: ({ channels, contextWidth, vectorWidth }: Omit<UnetConfig, 'outChannels'>, latentChannels) =>
    `${latentChannels} latent channels, levels of ${channels.join(', ')} channels, text states of ${contextWidth}` +
    (vectorWidth > 0 ? ` and a vector of ${vectorWidth}` : ''),
  listTensors,
  computeBytes: (config: ControlNetConfig, workload) => unetMaps(config, workload, MAPS),
};

/** Places of the convolutions that read the picture. There is a SiLU between two of them. */
const hintPlaces = [0, 2, 4, 6, 8, 10, 12, 14] as const;

function renameControlNet(tensors: Tensors): Map<string, TensorView> {
  const renamed = new Map<string, TensorView>();
  // without attention in the middle, the second residual block takes its place
  const moved = !tensors.has('mid_block.attentions.0.norm.weight');
  for (const [name, view] of renameDiffusers(tensors))
    renamed.set(moved ? name.replace(/^middle_block\.2\./, 'middle_block.1.') : name, view);
  for (const [name, view] of tensors) {
    const to = name
      .replace(/^controlnet_down_blocks\.(\d+)\./, 'zero_convs.$1.0.')
      .replace(/^controlnet_mid_block\./, 'middle_block_out.0.')
      .replace(/^controlnet_cond_embedding\.conv_in\./, `input_hint_block.${hintPlaces[0]}.`)
      .replace(/^controlnet_cond_embedding\.conv_out\./, `input_hint_block.${hintPlaces[7]}.`)
      .replace(
        /^controlnet_cond_embedding\.blocks\.([0-5])\./,
        (_, block: string) => `input_hint_block.${hintPlaces[Number(block) + 1]}.`,
      );
    if (to !== name) renamed.set(to, view);
  }
  return renamed;
}

/** Heads and norm groups don't show in its tensors. They are the UNet's. */
function readControlNetConfig(tensors: Tensors, where: string, denoiser: NetworkPlan): ControlNetConfig {
  const { normGroups, heads, headDim, contextWidth } = denoiser.config as UnetConfig;
  const encoder = readEncoderConfig(tensors, where, {
    normGroups,
    contextWidth,
    ...(heads !== undefined && { heads }),
    ...(headDim !== undefined && { headDim }),
    network: 'ControlNet',
  });
  return {
    ...encoder,
    hintChannels: [0, 4, 8, 12].map((place) => sizeOf(tensors, `input_hint_block.${place}.weight`, 0, where)),
  };
}

const encoderHalf = /^(input_blocks|middle_block|time_embed|label_emb)\./;

/** The tensors of the UNet's encoder half, of which it is a copy, and those that lead into it and out of it. */
function listTensors(config: ControlNetConfig, { config: unet, weights }: NetworkPlan): string[] {
  const names = new Set(weights.tensors.map(({ name }) => name).filter((name) => encoderHalf.test(name)));
  // small ones have fewer transformers than the UNet
  const depths = ({ depth, middleDepth }: Pick<UnetConfig, 'depth' | 'middleDepth'>) => [
    ...depth,
    middleDepth,
  ];
  const all = String(depths(config)) === String(depths(unet as UnetConfig)) ? names : new Set<string>();
  const places = config.channels.length * (config.resBlocks + 1);
  const modules = [
    ...hintPlaces.map((place) => `input_hint_block.${place}`),
    ...Array.from({ length: places }, (_, place) => `zero_convs.${place}.0`),
    'middle_block_out.0',
  ];
  return [...all, ...modules.flatMap((module) => [`${module}.weight`, `${module}.bias`])];
}
