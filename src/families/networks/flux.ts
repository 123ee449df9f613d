// The transformers of FLUX.1 and FLUX.2: how to find them in a file, their names, their configuration.
import { compose, countWhile, sizeOf, sliceRows, type Tensors, type TensorView } from '../tensors.js';
import { type FluxModule, fluxModules, xlabsModules } from './flux-names.js';
import type { DenoiserNetwork, Layout } from './network.js';

/** kind 'flux': the transformers of FLUX.1 and FLUX.2, BFL tensor names without prefix ("double_blocks.0.img_attn.qkv.weight"). */
export interface FluxConfig {
  /** 1: 2 x 2 patches made here, modulation in every block, GELU. 2: shared modulation, SwiGLU, no biases. */
  generation: 1 | 2;
  width: number;
  heads: number;
  doubleBlocks: number;
  singleBlocks: number;
  /** Hidden width of the feed-forward (of each half where it is gated). */
  mlpWidth: number;
  /** Width of an image token: 64 (FLUX.1: 16 channels x 2 x 2), 128 (FLUX.2). Kontext is the same; Fill has more. */
  inChannels: number;
  outChannels: number;
  contextWidth: number;
  /** Width of the pooled text vector ("vector_in"); 0 without one. */
  vectorWidth: number;
  /** Takes distilled guidance ("guidance_in"). */
  guidance: boolean;
  /** Rotary dimensions of a head by axis of the position ids; their sum is the head's size. */
  axes: number[];
  theta: number;
}

const own =
  /^(double_blocks|single_blocks|time_in|guidance_in|vector_in|txt_in|img_in|final_layer|double_stream_modulation_(img|txt)|single_stream_modulation)\./;

export const fluxLayouts: Layout[] = [
  {
    name: 'BFL',
    marker: 'double_blocks.0.img_attn.qkv.weight',
    rename: (tensors) => {
      const renamed = new Map<string, TensorView>();
      for (const [name, view] of tensors)
        if (own.test(name)) renamed.set(name.replace(/((?:query|key)_norm)\.weight$/, '$1.scale'), view);
      return renamed;
    },
  },
  {
    name: 'diffusers',
    marker: 'single_transformer_blocks.0.attn.norm_q.weight',
    rename: renameDiffusers,
  },
];

/** A transformer block holds about this many states of all tokens: projections, heads, the feed-forward's middle. */
const STATES = 24;
/** An image token stands for a square of this many pixels on a side. */
const TOKEN = 16;

export const fluxNetwork: DenoiserNetwork<'flux'> = {
  kind: 'flux',
  title: 'a FLUX transformer',
  layouts: fluxLayouts,
  computeBytes: ({ width }: FluxConfig, { pixels, referencePixels, tokens }) =>
    ((pixels + referencePixels) / TOKEN ** 2 + tokens) * width * 4 * STATES,
  diffusersModules: (config: FluxConfig) =>
    [...fluxModules(config), ...xlabsModules(config)].map(({ bfl, row, units = 1, ...module }) => ({
      ...module,
      own: bfl,
      // `linear1` of a single block: queries, keys and values of the network's width, then the feed-forward
      ...(row !== undefined && {
        row: row * config.width,
        rows: row === 3 ? config.mlpWidth : units * config.width,
      }),
    })),
};

function renameDiffusers(tensors: Tensors): Map<string, TensorView> {
  const modules = fluxModules({
    generation: tensors.has('single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight') ? 2 : 1,
    doubleBlocks: countWhile(tensors, (i) => `transformer_blocks.${i}.attn.norm_q.weight`),
    singleBlocks: countWhile(tensors, (i) => `single_transformer_blocks.${i}.attn.norm_q.weight`),
  });
  const renamed = new Map<string, TensorView>();
  const parts = new Map<string, { row: number; view: TensorView }[]>();
  for (const module of modules) {
    for (const leaf of ['weight', 'bias']) {
      const view = tensors.get(`${module.diffusers}.${leaf}`);
      if (!view) continue;
      const name = nameOf(module, leaf);
      if (module.row !== undefined) parts.set(name, [...(parts.get(name) ?? []), { row: module.row, view }]);
      else renamed.set(name, module.swapped ? swapHalves(name, view) : view);
    }
  }
  for (const [name, list] of parts) {
    list.sort((a, b) => a.row - b.row);
    renamed.set(
      name,
      compose(
        name,
        list.map(({ view }) => view),
      ),
    );
  }
  return renamed;
}

function nameOf({ bfl }: FluxModule, leaf: string): string {
  return `${bfl}.${/_norm$/.test(bfl) ? 'scale' : leaf}`;
}

function swapHalves(name: string, view: TensorView): TensorView {
  const half = Math.floor((view.shape[0] ?? 0) / 2);
  return compose(name, [sliceRows(view, half, half), sliceRows(view, 0, half)]);
}

const published = {
  1: { axes: [16, 56, 56], theta: 10000 },
  2: { axes: [32, 32, 32, 32], theta: 2000 },
} as const;

/** Reads the configuration off the tensors, which have BFL names. */
export function readFluxConfig(tensors: Tensors, where: string): FluxConfig {
  const generation = isFlux2(tensors) ? 2 : 1;
  const width = sizeOf(tensors, 'img_in.weight', 0, where);
  const headDim = sizeOf(tensors, 'double_blocks.0.img_attn.norm.query_norm.scale', 0, where);
  const { axes, theta } = published[generation];
  return {
    generation,
    width,
    heads: Math.floor(width / headDim),
    doubleBlocks: countWhile(tensors, (i) => `double_blocks.${i}.img_attn.qkv.weight`),
    singleBlocks: countWhile(tensors, (i) => `single_blocks.${i}.linear1.weight`),
    mlpWidth: sizeOf(tensors, 'double_blocks.0.img_mlp.2.weight', 1, where),
    inChannels: sizeOf(tensors, 'img_in.weight', 1, where),
    outChannels: sizeOf(tensors, 'final_layer.linear.weight', 0, where),
    contextWidth: sizeOf(tensors, 'txt_in.weight', 1, where),
    vectorWidth: tensors.has('vector_in.in_layer.weight')
      ? sizeOf(tensors, 'vector_in.in_layer.weight', 1, where)
      : 0,
    guidance: tensors.has('guidance_in.in_layer.weight'),
    // published heads have 128 values; in narrower ones the axes keep their proportions
    axes: axes.map((size) => (size * headDim) / 128),
    theta,
  };
}

export function isFlux2(tensors: Tensors): boolean {
  return tensors.has('double_stream_modulation_img.lin.weight');
}
