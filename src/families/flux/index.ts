// FLUX.1: pooled CLIP-L and T5 states, the transformer of 19 + 38 blocks (schnell, dev, Kontext), a 16-channel autoencoder.

import { ImageForgeError } from '../../shared/errors.js';
import { fluxRowLength } from '../../text/flux-prompts.js';
import {
  autoencoderNeed,
  type Family,
  type FoundModel,
  howToBring,
  type PartNeed,
  planAutoencoder,
  planNetwork,
  readDefaults,
  readFact,
  takePart,
} from '../family.js';
import type { FoundNetwork } from '../find-networks.js';
import { readClip } from '../networks/clip.js';
import type { FluxConfig } from '../networks/flux.js';
import { readFluxConfig } from '../networks/flux.js';
import { readT5Config } from '../networks/t5.js';
import { isCalled, type WeightSource } from '../sources.js';
import type { Defaults, ModelPlan, ReferenceRule, TextEncoderPlan } from '../types.js';
import { fluxRuntime } from './runtime.js';

const pulledWith = ({ tensors }: FoundNetwork) =>
  tensors.has('guidance_in.in_layer.weight') ? 'flux1-dev' : 'flux-q4';
const autoencoder = autoencoderNeed(
  'Name the FLUX.1 autoencoder (ae.safetensors) with --vae FILE.',
  pulledWith,
);
const clip: PartNeed = {
  part: 'clip_l',
  kinds: ['clip'],
  what: 'CLIP-L text encoder',
  bring: 'Name CLIP-L (clip_l.safetensors) with --clip-l FILE.',
  pulledWith,
};
const t5: PartNeed = {
  part: 't5xxl',
  kinds: ['t5'],
  what: 'T5-XXL text encoder',
  bring: 'Name the T5-XXL encoder (GGUF or safetensors) with --t5xxl FILE.',
  pulledWith,
};

/** Schnell was distilled with shorter rows. */
const schnellRowLength = 256;

const size = { width: 1024, height: 1024, sampler: 'euler', schedule: 'flow' };
const schnellDefaults: Defaults = { steps: 4, guidance: 1, ...size };
const devDefaults: Defaults = { steps: 40, guidance: 7.5, ...size };
/** The values of its authors' model card and of diffusers. */
const kontextDefaults: Defaults = { steps: 28, guidance: 2.5, ...size };

/** Kontext has dev's tensors, so dev takes a reference too, though it was never trained to use one. */
const kontext: ReferenceRule = { most: 1, area: 2 ** 20, sizes: kontextSizes() };

/** The sizes that Kontext was trained with: about a megapixel, from 672 x 1568 to 1568 x 672. */
function kontextSizes(): [number, number][] {
  const tall: [number, number][] = [
    [672, 1568],
    [688, 1504],
    [720, 1456],
    [752, 1392],
    [800, 1328],
    [832, 1248],
    [880, 1184],
    [944, 1104],
  ];
  return [...tall, [1024, 1024], ...tall.map(([width, height]): [number, number] => [height, width])];
}

export const flux: Family = {
  id: 'flux',
  title: 'FLUX.1',
  tiny: 'taef1',
  claims: ({ kind, tensors }) => kind === 'flux' && tensors.has('double_blocks.0.img_mod.lin.weight'),
  parts: [autoencoder, clip, t5],
  requireTask: ({ source, tensors }) =>
    requireTextToImage(source.label, readFluxConfig(tensors, source.label)),
  plan: planFlux,
  runtime: fluxRuntime,
};

async function planFlux(model: FoundModel): Promise<ModelPlan> {
  const { source, tensors } = model.denoiser;
  const config = readFluxConfig(tensors, source.label);
  const channels = config.outChannels / 4;
  const autoencoderPlan = planAutoencoder(model, {
    latentChannels: channels,
    scale: 0.3611,
    shift: 0.1159,
    title: flux.title,
    need: autoencoder,
  });
  return {
    family: 'flux',
    name: model.name,
    prediction: 'flow',
    inpaint: false,
    latent: { channels, factor: 8, multiple: 16 },
    textEncoders: [planClip(model, config), planT5(model, config)],
    denoiser: planNetwork('flux', config, tensors),
    autoencoder: autoencoderPlan,
    defaults: readDefaults(source, chooseDefaults(source, config)),
    ...(config.guidance && { references: kontext }),
  };
}

function chooseDefaults(source: WeightSource, { guidance }: FluxConfig): Defaults {
  if (!guidance) return schnellDefaults;
  return isCalled(source, /kontext/i) ? kontextDefaults : devDefaults;
}

/** Fill takes a mask (256 channels) and a masked picture beside the latent, Canny and Depth take a second picture. */
function requireTextToImage(label: string, { inChannels, outChannels }: FluxConfig): void {
  const extra = inChannels - outChannels;
  if (extra === 0) return;
  const task =
    extra === outChannels
      ? 'FLUX.1 Canny or Depth, which takes a map of edges or depths'
      : extra === outChannels + 256
        ? 'FLUX.1 Fill, which paints into pictures'
        : 'a FLUX.1 model of a task that is not known';
  throw new ImageForgeError(
    'UNSUPPORTED',
    `${label} is ${task}: it has ${inChannels} input channels, and models with ${outChannels} run`,
    { hint: 'Use FLUX.1 schnell, dev or Kontext.', details: { file: label, tensor: 'img_in.weight' } },
  );
}

function planClip(model: FoundModel, flux: FluxConfig): TextEncoderPlan {
  const network = takePart(model, clip);
  const { label } = network.source;
  const heads = model.options.textHeads ?? readFact(network.source, 'text.heads');
  const { config, tensors } = readClip(network.tensors, label, {
    activation: 'quick_gelu',
    projected: false,
    ...(heads !== undefined && { heads }),
  });
  const hint = howToBring(clip, model.denoiser);
  refuseOtherWidth(label, 'CLIP-L', config.width, flux.vectorWidth, 'vector_in.in_layer.weight', hint);
  return { part: 'clip_l', layers: [config.layers], ...planNetwork('clip', config, tensors) };
}

function planT5(model: FoundModel, flux: FluxConfig): TextEncoderPlan {
  const network = takePart(model, t5);
  const { label } = network.source;
  const config = readT5Config(network.tensors, label);
  const hint = howToBring(t5, model.denoiser);
  refuseOtherWidth(label, 'T5', config.width, flux.contextWidth, 'txt_in.weight', hint);
  const rowLength = flux.guidance ? fluxRowLength : schnellRowLength;
  return {
    part: 't5xxl',
    layers: [config.layers],
    rowLength,
    ...planNetwork('t5', config, network.tensors),
  };
}

function refuseOtherWidth(
  label: string,
  what: string,
  found: number,
  expected: number,
  tensor: string,
  hint: string,
): void {
  if (found === expected) return;
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${label}: this ${what} gives states of width ${found}, but the transformer's ${tensor} takes ${expected}: it is of the wrong size`,
    { hint, details: { file: label, tensor, found, expected } },
  );
}
