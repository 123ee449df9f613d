// Stable Diffusion XL: CLIP-L and OpenCLIP-bigG, a UNet that also takes sizes and pooled text, heads of 64.

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
import { readClip } from '../networks/clip.js';
import type { UnetConfig } from '../networks/unet.js';
import { headSize, readUnetConfig } from '../networks/unet.js';
import { readSamplingFacts, suitDefaults, toLatent, toPlan } from '../sd/sampling-facts.js';
import { requireUnetTask } from '../sd/tasks.js';
import { type Speed, speedOf } from '../speed.js';
import type { Defaults, ModelPlan, TextEncoderPlan } from '../types.js';
import { sdxlRuntime } from './runtime.js';

const autoencoder = autoencoderNeed('Name the SDXL autoencoder with --vae FILE, or use a full checkpoint.');
const clipL: PartNeed = {
  part: 'clip_l',
  kinds: ['clip'],
  what: 'CLIP-L text encoder',
  bring: 'Name CLIP-L with --clip-l FILE, or use a full checkpoint.',
  suits: (network) => !isBigG(network),
};
const clipG: PartNeed = {
  part: 'clip_g',
  kinds: ['clip'],
  what: 'OpenCLIP bigG text encoder',
  bring: 'Name OpenCLIP bigG with --clip-g FILE, or use a full checkpoint.',
  suits: isBigG,
};

const defaults: Record<Speed, Defaults> = {
  full: { steps: 30, guidance: 7, width: 1024, height: 1024, sampler: 'dpmpp_2m', schedule: 'karras' },
  turbo: { steps: 4, guidance: 0, width: 512, height: 512, sampler: 'euler_a', schedule: 'trailing' },
  lightning: { steps: 4, guidance: 0, width: 1024, height: 1024, sampler: 'euler', schedule: 'sgm_uniform' },
  lcm: { steps: 6, guidance: 1.5, width: 1024, height: 1024, sampler: 'lcm', schedule: 'sgm_uniform' },
};

/** What autoencoders multiply their latents by. */
const latentScale = 0.13025;

/** Sinusoids of six sizes, 256 wide each, follow the pooled text in the UNet's vector; the refiner has five. */
const sizesWidth = 6 * 256;

export const sdxl: Family = {
  id: 'sdxl',
  title: 'Stable Diffusion XL',
  tiny: 'taesdxl',
  claims: ({ kind, tensors }) => kind === 'unet' && tensors.has('label_emb.0.0.weight'),
  parts: [autoencoder, clipL, clipG],
  requireTask: requireUnetTask,
  readSampling: (model) => readSamplingFacts(model, 'sdxl'),
  plan: planSdxl,
  controlNet: (tensors) => tensors.has('label_emb.0.0.weight'),
  runtime: sdxlRuntime,
};

async function planSdxl(model: FoundModel): Promise<ModelPlan> {
  const { source, tensors } = model.denoiser;
  const unet = readUnetConfig(tensors, source.label, {
    normGroups: readFact(source, 'unet.norm_groups') ?? 32,
    headDim: readFact(source, 'unet.head_dim') ?? headSize(tensors),
  });
  const facts = await readSamplingFacts(model, 'sdxl');
  const speed = speedOf(model.denoiser);
  const l = planTextEncoder(model, clipL);
  const g = planTextEncoder(model, clipG);
  refuseOtherWidths(source.label, unet, l, g);
  const autoencoderPlan = planAutoencoder(model, {
    latentChannels: unet.outChannels,
    scale: latentScale,
    shift: 0,
    title: sdxl.title,
    need: autoencoder,
  });
  return {
    family: 'sdxl',
    name: model.name,
    ...toPlan(facts, source),
    inpaint: unet.inChannels > unet.outChannels,
    latent: { channels: unet.outChannels, factor: 8, ...toLatent(facts, latentScale) },
    textEncoders: [l.plan, g.plan],
    denoiser: planNetwork('unet', unet, tensors),
    autoencoder: autoencoderPlan,
    defaults: readDefaults(source, suitDefaults(defaults[speed], speed, facts)),
  };
}

interface TextEncoder {
  plan: TextEncoderPlan;
  width: number;
  projection: number;
  label: string;
}

function isBigG({ layout, prefix, source, tensors }: FoundNetwork): boolean {
  if (layout === 'OpenCLIP' || source.folder === 'text_encoder_2') return true;
  if (source.folder !== undefined) return false;
  return (
    /embedders\.1\.|clip_g|text_encoder_2|cond_stage_model\.1\./.test(prefix) ||
    tensors.has('text_projection.weight')
  );
}

function planTextEncoder(model: FoundModel, need: PartNeed): TextEncoder {
  const { part } = need;
  const network = takePart(model, need);
  const heads = model.options.textHeads ?? readFact(network.source, 'text.heads');
  const { config, tensors } = readClip(network.tensors, network.source.label, {
    activation: part === 'clip_l' ? 'quick_gelu' : 'gelu',
    projected: part === 'clip_g',
    ...(heads !== undefined && { heads }),
  });
  const { width, projection, layers } = config;
  const plan = { part, layers: [layers - 1], ...planNetwork('clip', config, tensors) };
  return { plan, width, projection, label: network.source.label };
}

function refuseOtherWidths(label: string, unet: UnetConfig, l: TextEncoder, g: TextEncoder): void {
  if (g.projection === 0) {
    throw new ImageForgeError('WEIGHTS_INVALID', `${g.label}: text_projection is missing, which SDXL needs`, {
      hint: clipG.bring,
      details: { file: g.label, tensor: 'text_projection' },
    });
  }
  if (l.width + g.width !== unet.contextWidth || g.projection + sizesWidth !== unet.vectorWidth) {
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `the text encoders give states of width ${l.width} (${l.label}) and ${g.width} (${g.label}) and a vector of ${g.projection}; ` +
        `the UNet in ${label} takes ${unet.contextWidth} together and ${unet.vectorWidth - sizesWidth}`,
      { hint: `${clipL.bring} ${clipG.bring}`, details: { file: label } },
    );
  }
}
