// ControlNet for the UNets of Stable Diffusion: two sets of names for one network, and its configuration.
import type { ControlNetConfig } from '../../native/configs.js';
import { sizeOf, type Tensors, type TensorView } from '../tensors.js';
import type { Layout } from './layout.js';
import { readEncoderConfig, renameDiffusers, type UnetFacts } from './unet.js';

const own =
  /^(input_blocks|middle_block|time_embed|label_emb|input_hint_block|zero_convs|middle_block_out)\./;

export const controlNetLayouts: Layout[] = [
  {
    kind: 'controlnet',
    name: 'original',
    marker: 'zero_convs.0.0.weight',
    rename: (tensors) => new Map([...tensors].filter(([name]) => own.test(name))),
  },
  {
    kind: 'controlnet',
    name: 'diffusers',
    marker: 'controlnet_down_blocks.0.weight',
    rename: renameControlNet,
  },
];

/** Places of the convolutions that look at the picture; a SiLU stands between two. */
export const hintPlaces = [0, 2, 4, 6, 8, 10, 12, 14] as const;

function renameControlNet(tensors: Tensors): Map<string, TensorView> {
  const renamed = new Map<string, TensorView>();
  // without attention in the middle the second block moves up
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

/** `facts` are those of the UNet that it belongs to. */
export function readControlNetConfig(
  tensors: Tensors,
  where: string,
  facts: UnetFacts & { contextWidth: number },
): ControlNetConfig {
  return {
    ...readEncoderConfig(tensors, where, { ...facts, network: 'ControlNet' }),
    hintChannels: [0, 4, 8, 12].map((place) => sizeOf(tensors, `input_hint_block.${place}.weight`, 0, where)),
  };
}
