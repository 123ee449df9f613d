// The UNet of Stable Diffusion 1.x, 2.x and XL: how to find it in a file, its names, its configuration.
import { ImageForgeError } from '../../shared/errors.js';
import { countWhile, need, sizeOf, type Tensors, type TensorView } from '../tensors.js';
import type { DenoiserNetwork, Layout, Workload } from './network.js';
import { renamer, unetModulePairs } from './unet-names.js';

/** kind 'unet': SD 1.x, 2.x, SDXL; LDM tensor names without prefix ("input_blocks.0.0.weight"). */
export interface UnetConfig {
  inChannels: number;
  outChannels: number;
  modelChannels: number;
  /** Channels of each level, first to last. */
  channels: number[];
  resBlocks: number;
  /** Transformer blocks of each level; 0 = no attention. */
  depth: number[];
  middleDepth: number;
  contextWidth: number;
  /** Either a fixed number of heads at every level or a fixed head size. */
  heads?: number;
  headDim?: number;
  linearProjection: boolean;
  normGroups: number;
  /** Width of the vector that is added to the timestep embedding (SDXL 2816); 0 without one. */
  vectorWidth: number;
}

const own = /^(input_blocks|middle_block|output_blocks|time_embed|label_emb|out)\./;

export const unetLayouts: Layout[] = [
  {
    name: 'LDM',
    marker: 'output_blocks.0.0.in_layers.0.weight',
    rename: (tensors) => new Map([...tensors].filter(([name]) => own.test(name))),
  },
  {
    name: 'diffusers',
    marker: 'up_blocks.0.resnets.0.time_emb_proj.weight',
    rename: renameDiffusers,
  },
];

/** About this many maps of the first level, at latent resolution, are held at once, skip connections among them. */
const MAPS = 40;

export const unetNetwork: DenoiserNetwork<'unet'> = {
  kind: 'unet',
  title: 'a UNet',
  layouts: unetLayouts,
  computeBytes: (config: UnetConfig, workload) => unetMaps(config, workload, MAPS),
  diffusersModules: ({ channels, resBlocks, depth }: UnetConfig) =>
    unetModulePairs({
      levels: channels.length,
      resBlocks,
      attention: depth.map((blocks) => blocks > 0),
    }).map(([diffusers, own]) => ({ diffusers, own })),
};

/** Bytes of so many maps of the first level. */
export function unetMaps(
  { modelChannels }: Pick<UnetConfig, 'modelChannels'>,
  { pixels, factor }: Workload,
  maps: number,
): number {
  return (pixels / factor ** 2) * modelChannels * 4 * maps;
}

/** Renames the tensors of a UNet, or of its encoder half, which a ControlNet is a copy of. */
export function renameDiffusers(tensors: Tensors): Map<string, TensorView> {
  const levels = countWhile(tensors, (level) => `down_blocks.${level}.resnets.0.conv1.weight`);
  const rename = renamer(
    unetModulePairs({
      levels,
      resBlocks: countWhile(tensors, (block) => `down_blocks.0.resnets.${block}.conv1.weight`),
      attention: Array.from({ length: levels }, (_, level) =>
        tensors.has(`down_blocks.${level}.attentions.0.norm.weight`),
      ),
    }),
  );
  const renamed = new Map<string, TensorView>();
  for (const [name, view] of tensors) {
    const to = rename(name);
    if (to !== undefined) renamed.set(to, view);
  }
  return renamed;
}

/** What shapes don't tell. */
export interface UnetFacts {
  normGroups: number;
  heads?: number;
  headDim?: number;
}

/** Reads the configuration off the tensors, which have LDM names. */
export function readUnetConfig(tensors: Tensors, where: string, facts: UnetFacts): UnetConfig {
  const { depth, resBlocks, ...rest } = readEncoderConfig(tensors, where, facts);
  if (!hasRegularDecoder(tensors, depth, resBlocks)) throw refuseIrregular(where, 'UNet');
  return { ...rest, depth, resBlocks, outChannels: sizeOf(tensors, 'out.2.weight', 0, where) };
}

function refuseIrregular(where: string, network: 'UNet' | 'ControlNet'): ImageForgeError {
  return new ImageForgeError(
    'UNSUPPORTED',
    `${where}: this ${network}'s levels don't all have the same blocks: a pruned model (SSD-1B, Segmind Vega, BK-SDM …)`,
    { hint: `Use a model with the full ${network}.`, details: { file: where } },
  );
}

/** Reads the encoder half alone. One without attention has no context width of its own and takes `contextWidth`. */
export function readEncoderConfig(
  tensors: Tensors,
  where: string,
  {
    contextWidth,
    network = 'UNet',
    ...facts
  }: UnetFacts & { contextWidth?: number; network?: 'UNet' | 'ControlNet' },
): Omit<UnetConfig, 'outChannels'> {
  const levels: { channels: number; depths: number[] }[] = [{ channels: 0, depths: [] }];
  for (let i = 1; ; i++) {
    const residual = tensors.get(`input_blocks.${i}.0.out_layers.3.weight`);
    const level = levels.at(-1)!;
    if (residual) {
      level.channels = sizeOf(tensors, `input_blocks.${i}.0.out_layers.3.weight`, 0, where);
      level.depths.push(countBlocks(tensors, `input_blocks.${i}.1`));
    } else if (tensors.has(`input_blocks.${i}.0.op.weight`)) {
      levels.push({ channels: 0, depths: [] });
    } else {
      break;
    }
  }
  const resBlocks = levels[0]!.depths.length;
  const depth = levels.map(({ depths }) => depths[0] ?? 0);
  const regular = levels.every(
    ({ depths }, level) => depths.length === resBlocks && depths.every((found) => found === depth[level]),
  );
  if (!regular || resBlocks === 0) throw refuseIrregular(where, network);
  const attention = [...tensors.keys()].find((name) =>
    name.endsWith('.1.transformer_blocks.0.attn2.to_k.weight'),
  );
  if (attention === undefined && contextWidth === undefined)
    need(tensors, 'input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight', where);
  const projection = attention?.replace(/transformer_blocks.*/, 'proj_in.weight');
  return {
    inChannels: sizeOf(tensors, 'input_blocks.0.0.weight', 1, where),
    modelChannels: sizeOf(tensors, 'input_blocks.0.0.weight', 0, where),
    channels: levels.map(({ channels }) => channels),
    resBlocks,
    depth,
    middleDepth: countBlocks(tensors, 'middle_block.1'),
    contextWidth: attention === undefined ? contextWidth! : sizeOf(tensors, attention, 1, where),
    linearProjection: projection !== undefined && need(tensors, projection, where).shape.length === 2,
    vectorWidth: tensors.has('label_emb.0.0.weight') ? sizeOf(tensors, 'label_emb.0.0.weight', 1, where) : 0,
    ...facts,
  };
}

function countBlocks(tensors: Tensors, module: string): number {
  return countWhile(tensors, (block) => `${module}.transformer_blocks.${block}.norm1.weight`);
}

function hasRegularDecoder(tensors: Tensors, depth: number[], resBlocks: number): boolean {
  return depth
    .toReversed()
    .every((expected, up) =>
      Array.from({ length: resBlocks + 1 }, (_, block) => up * (resBlocks + 1) + block).every(
        (i) =>
          tensors.has(`output_blocks.${i}.0.in_layers.0.weight`) &&
          countBlocks(tensors, `output_blocks.${i}.1`) === expected,
      ),
    );
}

/** Published heads have 64 channels. Narrower networks (in tests) have heads of 16. */
export function headSize(tensors: Tensors): number {
  let narrowest = Infinity;
  for (const [name, { shape }] of tensors)
    if (name.endsWith('.transformer_blocks.0.attn1.to_q.weight'))
      narrowest = Math.min(narrowest, shape[0] ?? 0);
  return narrowest % 64 === 0 ? 64 : 16;
}
