// The transformers of FLUX.1 and FLUX.2: where they lie in a file, their names, their configuration.
import type { FluxConfig } from '../../native/configs.js';
import { compose, countWhile, sizeOf, sliceRows, type Tensors, type TensorView } from '../tensors.js';
import { type FluxModule, fluxModules } from './flux-names.js';
import type { Layout } from './layout.js';

const own =
  /^(double_blocks|single_blocks|time_in|guidance_in|vector_in|txt_in|img_in|final_layer|double_stream_modulation_(img|txt)|single_stream_modulation)\./;

export const fluxLayouts: Layout[] = [
  {
    kind: 'flux',
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
    kind: 'flux',
    name: 'diffusers',
    marker: 'single_transformer_blocks.0.attn.norm_q.weight',
    rename: renameDiffusers,
  },
];

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
    // published heads have 128 values; the axes keep their shares in narrower ones
    axes: axes.map((size) => (size * headDim) / 128),
    theta,
  };
}

export function isFlux2(tensors: Tensors): boolean {
  return tensors.has('double_stream_modulation_img.lin.weight');
}
