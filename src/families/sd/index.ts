// Stable Diffusion 1.x and 2.x: one CLIP text encoder, a UNet without added vectors, a 4-channel autoencoder.
// 1.x has CLIP-L, convolutions around its transformers and 8 heads; 2.x has OpenCLIP-H, matrices and heads of 64.
import type { ClipConfig, UnetConfig } from '../../native/configs.js';
import { ImageForgeError } from '../../shared/errors.js';
import {
  choose,
  type Family,
  type FoundModel,
  missing,
  planAutoencoder,
  planNetwork,
  readDefaults,
  readFact,
} from '../family.js';
import type { FoundNetwork } from '../find-networks.js';
import { readClip } from '../networks/clip.js';
import { headSize, readUnetConfig } from '../networks/unet.js';
import { need } from '../tensors.js';
import type { Defaults, ModelPlan, TextEncoderPlan } from '../types.js';
import { findPrediction } from './prediction.js';

const bringAutoencoder = 'Name the autoencoder with --vae FILE, or use a full checkpoint.';
const bringTextEncoder = 'Name the text encoder with --clip-l FILE, or use a full checkpoint.';

const defaults1: Defaults = {
  steps: 25,
  guidance: 7.5,
  width: 512,
  height: 512,
  sampler: 'dpmpp_2m',
  schedule: 'karras',
};

export const sd1: Family = {
  id: 'sd1',
  title: 'Stable Diffusion 1.x',
  claims: (denoiser) => isSd(denoiser) && !hasLinearProjection(denoiser),
  plan: (model) => planSd(model, 'sd1', defaults1),
};

export const sd2: Family = {
  id: 'sd2',
  title: 'Stable Diffusion 2.x',
  claims: (denoiser) => isSd(denoiser) && hasLinearProjection(denoiser),
  plan: (model) => planSd(model, 'sd2', defaults1),
};

function isSd({ kind, tensors }: FoundNetwork): boolean {
  return kind === 'unet' && !tensors.has('label_emb.0.0.weight');
}

function hasLinearProjection({ tensors, source }: FoundNetwork): boolean {
  return need(tensors, 'middle_block.1.proj_in.weight', source.label).shape.length === 2;
}

async function planSd(model: FoundModel, family: 'sd1' | 'sd2', fallback: Defaults): Promise<ModelPlan> {
  const { source, tensors } = model.denoiser;
  const unet = readUnetConfig(tensors, source.label, {
    normGroups: readFact(source, 'unet.norm_groups') ?? 32,
    ...(family === 'sd1'
      ? { heads: readFact(source, 'unet.heads') ?? 8 }
      : { headDim: readFact(source, 'unet.head_dim') ?? headSize(tensors) }),
  });
  const prediction = await findPrediction(model, family);
  const autoencoder = planAutoencoder(model, {
    latentChannels: unet.outChannels,
    scale: 0.18215,
    shift: 0,
    title: family === 'sd1' ? sd1.title : sd2.title,
    bring: bringAutoencoder,
  });
  const size = prediction === 'v' ? { width: 768, height: 768 } : {};
  return {
    family,
    name: model.name,
    prediction,
    inpaint: unet.inChannels > unet.outChannels,
    latent: { channels: unet.outChannels, factor: 8 },
    textEncoders: [planTextEncoder(model, family, unet)],
    denoiser: planNetwork('unet', unet, tensors),
    autoencoder,
    defaults: readDefaults(source, { ...fallback, ...size }),
  };
}

function planTextEncoder(model: FoundModel, family: 'sd1' | 'sd2', unet: UnetConfig): TextEncoderPlan {
  const network = choose(model, 'clip', 'clip_l');
  if (!network) throw missing(model, 'clip_l', 'CLIP text encoder', bringTextEncoder);
  const heads = model.options.textHeads ?? readFact(network.source, 'text.heads');
  const { config, tensors } = readClip(network.tensors, network.source.label, {
    activation: family === 'sd1' ? 'quick_gelu' : 'gelu',
    projected: false,
    ...(heads !== undefined && { heads }),
  });
  refuseOtherWidth(network, config, unet);
  return { part: 'clip_l', ...planNetwork('clip', config, tensors) };
}

function refuseOtherWidth({ source }: FoundNetwork, clip: ClipConfig, unet: UnetConfig): void {
  if (clip.width === unet.contextWidth) return;
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${source.label}: the text encoder gives states of width ${clip.width}, but the UNet takes ${unet.contextWidth}: it belongs to another family`,
    {
      hint: bringTextEncoder,
      details: { file: source.label, found: clip.width, expected: unet.contextWidth },
    },
  );
}
