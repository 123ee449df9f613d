// Stable Diffusion 1.x and 2.x: one CLIP text encoder, a UNet without added vectors, a 4-channel autoencoder.
// 1.x has CLIP-L, convolutions around its transformers and 8 heads; 2.x has OpenCLIP-H, matrices and heads of 64.

import { ImageForgeError } from '../../shared/errors.js';
import {
  autoencoderNeed,
  type Family,
  type FoundModel,
  type PartNeed,
  planAutoencoder,
  planNetwork,
  readDefaults,
  readFact,
  takePart,
} from '../family.js';
import type { FoundNetwork } from '../find-networks.js';
import type { ClipConfig } from '../networks/clip.js';
import { readClip } from '../networks/clip.js';
import type { UnetConfig } from '../networks/unet.js';
import { headSize, readUnetConfig } from '../networks/unet.js';
import { type Speed, speedOf } from '../speed.js';
import { need, type Tensors } from '../tensors.js';
import type { Defaults, ModelPlan, TextEncoderPlan } from '../types.js';
import { sd1Runtime, sd2Runtime } from './runtime.js';
import { readSamplingFacts, suitDefaults, toLatent, toPlan } from './sampling-facts.js';
import { requireUnetTask } from './tasks.js';

const autoencoder = autoencoderNeed('Name the autoencoder with --vae FILE, or use a full checkpoint.');
const textEncoder: PartNeed = {
  part: 'clip_l',
  kinds: ['clip'],
  what: 'CLIP text encoder',
  bring: 'Name the text encoder with --clip-l FILE, or use a full checkpoint.',
};

const size = { width: 512, height: 512 };
/** What autoencoders multiply their latents by. */
const latentScale = 0.18215;
/** SD 2.x models that predict v were trained at 768. */
const wide = { width: 768, height: 768 };
const defaults: Record<Speed, Defaults> = {
  full: { steps: 25, guidance: 7.5, ...size, sampler: 'dpmpp_2m', schedule: 'karras' },
  turbo: { steps: 2, guidance: 0, ...size, sampler: 'euler_a', schedule: 'trailing' },
  lightning: { steps: 4, guidance: 0, ...size, sampler: 'euler', schedule: 'sgm_uniform' },
  lcm: { steps: 6, guidance: 1.5, ...size, sampler: 'lcm', schedule: 'sgm_uniform' },
};

export const sd1: Family = {
  id: 'sd1',
  title: 'Stable Diffusion 1.x',
  tiny: 'taesd',
  claims: (denoiser) => isSd(denoiser) && !isLinear(denoiser.tensors),
  parts: [autoencoder, textEncoder],
  requireTask: requireUnetTask,
  readSampling: (model) => readSamplingFacts(model, 'sd1'),
  plan: (model) => planSd(model, 'sd1'),
  controlNet: (tensors) => !isXl(tensors) && !isLinear(tensors),
  runtime: sd1Runtime,
};

export const sd2: Family = {
  id: 'sd2',
  title: 'Stable Diffusion 2.x',
  tiny: 'taesd',
  claims: (denoiser) => isSd(denoiser) && isLinear(denoiser.tensors),
  parts: [autoencoder, textEncoder],
  requireTask: requireUnetTask,
  readSampling: (model) => readSamplingFacts(model, 'sd2'),
  plan: (model) => planSd(model, 'sd2'),
  controlNet: (tensors) => !isXl(tensors) && isLinear(tensors),
  runtime: sd2Runtime,
};

function isSd({ kind, tensors, source }: FoundNetwork): boolean {
  if (kind !== 'unet' || isXl(tensors)) return false;
  need(tensors, 'middle_block.1.proj_in.weight', source.label);
  return true;
}

function isXl(tensors: Tensors): boolean {
  return tensors.has('label_emb.0.0.weight');
}

/** Matrices lead into the transformers and out of them, not convolutions. */
function isLinear(tensors: Tensors): boolean {
  return tensors.get('middle_block.1.proj_in.weight')?.shape.length === 2;
}

async function planSd(model: FoundModel, family: 'sd1' | 'sd2'): Promise<ModelPlan> {
  const { source, tensors } = model.denoiser;
  const unet = readUnetConfig(tensors, source.label, {
    normGroups: readFact(source, 'unet.norm_groups') ?? 32,
    ...(family === 'sd1'
      ? { heads: readFact(source, 'unet.heads') ?? 8 }
      : { headDim: readFact(source, 'unet.head_dim') ?? headSize(tensors) }),
  });
  const facts = await readSamplingFacts(model, family);
  const speed = speedOf(model.denoiser);
  const usual = { ...defaults[speed], ...(family === 'sd2' && facts.prediction === 'v' && wide) };
  const autoencoderPlan = planAutoencoder(model, {
    latentChannels: unet.outChannels,
    scale: latentScale,
    shift: 0,
    title: family === 'sd1' ? sd1.title : sd2.title,
    need: autoencoder,
  });
  return {
    family,
    name: model.name,
    ...toPlan(facts, source),
    inpaint: unet.inChannels > unet.outChannels,
    latent: { channels: unet.outChannels, factor: 8, ...toLatent(facts, latentScale) },
    textEncoders: [planTextEncoder(model, family, unet)],
    denoiser: planNetwork('unet', unet, tensors),
    autoencoder: autoencoderPlan,
    defaults: readDefaults(source, suitDefaults(usual, speed, facts)),
  };
}

function planTextEncoder(model: FoundModel, family: 'sd1' | 'sd2', unet: UnetConfig): TextEncoderPlan {
  const network = takePart(model, textEncoder);
  const heads = model.options.textHeads ?? readFact(network.source, 'text.heads');
  const { config, tensors } = readClip(network.tensors, network.source.label, {
    activation: family === 'sd1' ? 'quick_gelu' : 'gelu',
    projected: false,
    ...(heads !== undefined && { heads }),
  });
  refuseOtherWidth(network, config, unet);
  // SD 2.x takes the last but one state of 24; diffusers' files end with that block
  const cut = network.source.folder !== undefined || config.layers === 23;
  const last = family === 'sd2' && !cut ? config.layers - 1 : config.layers;
  return { part: 'clip_l', layers: [last], ...planNetwork('clip', config, tensors) };
}

function refuseOtherWidth({ source }: FoundNetwork, clip: ClipConfig, unet: UnetConfig): void {
  if (clip.width === unet.contextWidth) return;
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${source.label}: the text encoder gives states of width ${clip.width}, but the UNet takes ${unet.contextWidth}: it belongs to another family`,
    {
      hint: textEncoder.bring,
      details: { file: source.label, found: clip.width, expected: unet.contextWidth },
    },
  );
}
