// CLIP and OpenCLIP text encoders: how to find them in a file, their names, their configuration.
import { countWhile, sizeOf, sliceRows, type Tensors, type TensorView } from '../tensors.js';
import { textStates } from './estimates.js';
import type { Layout, TextEncoderNetwork } from './network.js';
import { type ModulePair, renamer } from './unet-names.js';

/** kind 'clip': CLIP and OpenCLIP text encoders, Hugging Face tensor names without prefix ("text_model.encoder.layers.0…"). */
export interface ClipConfig {
  width: number;
  layers: number;
  heads: number;
  intermediate: number;
  vocab: number;
  positions: number;
  activation: 'quick_gelu' | 'gelu';
  /** Id whose first occurrence marks the pooled state. */
  endToken: number;
  /** Width of the text projection ("text_projection.weight", [proj, width]); 0 without one. */
  projection: number;
  /** The file has the projection as OpenCLIP stores it, [width, proj]: pooled = state @ P. */
  projectionTransposed?: boolean;
}

const own = /^text_model\.(embeddings\.(token|position)_embedding|encoder\.layers|final_layer_norm)\./;

export const clipLayouts: Layout[] = [
  {
    name: 'Hugging Face',
    marker: 'text_model.embeddings.token_embedding.weight',
    rename: renameHuggingFace,
  },
  {
    name: 'Hugging Face without text_model',
    marker: 'embeddings.token_embedding.weight',
    unless: 'text_model.embeddings.token_embedding.weight',
    rename: (tensors) =>
      renameHuggingFace(
        new Map(
          [...tensors].map(([name, view]) => [
            /^text_(model|projection)/.test(name) ? name : `text_model.${name}`,
            view,
          ]),
        ),
      ),
  },
  {
    name: 'OpenCLIP',
    marker: 'transformer.resblocks.0.attn.in_proj_weight',
    rename: renameOpenClip,
  },
];

export const clipNetwork: TextEncoderNetwork<'clip'> = {
  kind: 'clip',
  title: 'a CLIP text encoder',
  layouts: clipLayouts,
  option: '--clip-l',
  takesVectors: true,
  computeBytes: textStates,
};

function renameHuggingFace(tensors: Tensors): Map<string, TensorView> {
  const renamed = new Map<string, TensorView>();
  for (const [name, view] of tensors) {
    if (own.test(name) || name === 'text_projection.weight') renamed.set(name, view);
    // stable-diffusion.cpp keeps OpenCLIP's matrix, transposed to Hugging Face's, under this name
    else if (name === 'text_model.text_projection') renamed.set('text_projection', view);
    else if (name === 'text_model.text_projection.weight') renamed.set('text_projection.weight', view);
  }
  return renamed;
}

function renameOpenClip(tensors: Tensors): Map<string, TensorView> {
  const layers = countWhile(tensors, (layer) => `transformer.resblocks.${layer}.attn.in_proj_weight`);
  const pairs: ModulePair[] = [
    ['token_embedding', 'text_model.embeddings.token_embedding'],
    ['ln_final', 'text_model.final_layer_norm'],
  ];
  for (let layer = 0; layer < layers; layer++) {
    const [from, to] = [`transformer.resblocks.${layer}`, `text_model.encoder.layers.${layer}`];
    pairs.push([`${from}.ln_1`, `${to}.layer_norm1`], [`${from}.ln_2`, `${to}.layer_norm2`]);
    pairs.push([`${from}.mlp.c_fc`, `${to}.mlp.fc1`], [`${from}.mlp.c_proj`, `${to}.mlp.fc2`]);
    pairs.push([`${from}.attn.out_proj`, `${to}.self_attn.out_proj`]);
  }
  const rename = renamer(pairs);
  const renamed = new Map<string, TensorView>();
  for (const [name, view] of tensors) {
    const fused = /^transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$/.exec(name);
    const to = rename(name);
    if (fused) {
      const width = Math.floor((view.shape[0] ?? 0) / 3);
      for (const [i, part] of ['q_proj', 'k_proj', 'v_proj'].entries()) {
        const slice = sliceRows(view, i * width, width);
        renamed.set(`text_model.encoder.layers.${fused[1]}.self_attn.${part}.${fused[2]}`, slice);
      }
    } else if (name === 'positional_embedding') {
      renamed.set('text_model.embeddings.position_embedding.weight', view);
    } else if (name === 'text_projection') {
      renamed.set('text_projection', view);
    } else if (to !== undefined) {
      renamed.set(to, view);
    }
  }
  return renamed;
}

export interface ClipFacts {
  activation: ClipConfig['activation'];
  /** The pooled state goes through the text projection. */
  projected: boolean;
  heads?: number;
}

/** Reads the configuration and leaves out what it doesn't use. */
export function readClip(
  found: Tensors,
  where: string,
  { activation, projected, heads }: ClipFacts,
): { config: ClipConfig; tensors: Tensors } {
  const tensors = new Map(found);
  const stored = tensors.get('text_projection.weight');
  const transposed = tensors.get('text_projection');
  tensors.delete('text_projection');
  tensors.delete('text_projection.weight');
  const projection = projected ? (stored ?? transposed) : undefined;
  if (projection) tensors.set('text_projection.weight', projection);
  const width = sizeOf(tensors, 'text_model.embeddings.token_embedding.weight', 1, where);
  const vocab = sizeOf(tensors, 'text_model.embeddings.token_embedding.weight', 0, where);
  const config: ClipConfig = {
    width,
    layers: countWhile(tensors, (layer) => `text_model.encoder.layers.${layer}.layer_norm1.weight`),
    heads: heads ?? (width % 64 === 0 ? width / 64 : Math.max(1, Math.floor(width / 16))),
    intermediate: sizeOf(tensors, 'text_model.encoder.layers.0.mlp.fc1.weight', 0, where),
    vocab,
    positions: sizeOf(tensors, 'text_model.embeddings.position_embedding.weight', 0, where),
    activation,
    endToken: vocab - 1,
    projection: projection ? sizeOf(tensors, 'text_projection.weight', stored ? 0 : 1, where) : 0,
    ...(projection && !stored && { projectionTransposed: true }),
  };
  return { config, tensors };
}
