// FLUX.2: states of three layers of a language model (Qwen3 for klein, Mistral for dev), a transformer with shared
// modulation, a 32-channel autoencoder whose latents are packed 2 x 2 and normalised.

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
  takePart,
} from '../family.js';
import type { FoundNetwork } from '../find-networks.js';
import { type CausalLmFacts, countLayers, hasQkNorm, readCausalLm } from '../networks/causal-lm.js';
import type { FluxConfig } from '../networks/flux.js';
import { isFlux2, readFluxConfig } from '../networks/flux.js';
import { isCalled, type WeightSource } from '../sources.js';
import type { Tensors } from '../tensors.js';
import type { Defaults, ModelPlan, TextEncoderPlan } from '../types.js';
import { flux2Runtime } from './runtime.js';

/** Width of the context of klein 9B: three states of Qwen3-8B. */
const contextOf9B = 3 * 4096;
/** The catalogue key of the model whose parts fit this transformer. */
function modelOf({ tensors }: FoundNetwork): string {
  if (tensors.has('guidance_in.in_layer.weight')) return 'flux2-dev';
  return tensors.get('txt_in.weight')?.shape[1] === contextOf9B ? 'flux2-klein-9b' : 'flux2-klein';
}
const autoencoder = autoencoderNeed(
  'Name the FLUX.2 autoencoder (flux2-vae.safetensors) with --vae FILE.',
  modelOf,
);
const languageModel: PartNeed = {
  part: 'llm',
  kinds: ['causal_lm'],
  what: 'language model',
  bring:
    'Name the language model with --llm FILE: Qwen3-4B or -8B for klein 4B or 9B, Mistral Small 3.2 for dev.',
  pulledWith: modelOf,
};

const size = { width: 1024, height: 1024, sampler: 'euler', schedule: 'flow' };
const kleinDefaults: Defaults = { steps: 4, guidance: 1, ...size };
const kleinBaseDefaults: Defaults = { steps: 50, guidance: 4, ...size };
const devDefaults: Defaults = { steps: 50, guidance: 7.5, ...size };

export const flux2: Family = {
  id: 'flux2',
  title: 'FLUX.2',
  tiny: 'taef2',
  claims: ({ kind, tensors }) => kind === 'flux' && isFlux2(tensors),
  parts: [autoencoder, languageModel],
  plan: planFlux2,
  runtime: flux2Runtime,
};

async function planFlux2(model: FoundModel): Promise<ModelPlan> {
  const { source, tensors } = model.denoiser;
  const config = readFluxConfig(tensors, source.label);
  const autoencoderPlan = planAutoencoder(model, {
    latentChannels: config.outChannels / 4,
    normalised: true,
    scale: 1,
    shift: 0,
    title: flux2.title,
    need: autoencoder,
  });
  return {
    family: 'flux2',
    name: model.name,
    prediction: 'flow',
    inpaint: false,
    latent: { channels: config.outChannels, factor: 16 },
    textEncoders: [planLanguageModel(model, config)],
    denoiser: planNetwork('flux', config, tensors),
    autoencoder: autoencoderPlan,
    defaults: readDefaults(source, chooseDefaults(source, config)),
    references: { most: 10, area: 2 ** 20 },
  };
}

/** The distilled klein and its base have the same tensors. Only the file's name and metadata tell them apart. */
function chooseDefaults(source: WeightSource, { guidance }: FluxConfig): Defaults {
  if (guidance) return devDefaults;
  return isCalled(source, /(?<![a-z])base(?![a-z])/i) ? kleinBaseDefaults : kleinDefaults;
}

function planLanguageModel(model: FoundModel, { contextWidth }: FluxConfig): TextEncoderPlan {
  const network = takePart(model, languageModel);
  const { label } = network.source;
  const layers = chooseLayers(network.tensors);
  const { config, tensors } = readCausalLm(network.tensors, label, layers.at(-1)!, readFacts(network));
  if (config.width * layers.length !== contextWidth) {
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${label}: three states of width ${config.width} make ${config.width * 3}, but the transformer's txt_in.weight takes ${contextWidth}: this language model is of the wrong size`,
      {
        hint: howToBring(languageModel, model.denoiser),
        details: { file: label, tensor: 'txt_in.weight', found: config.width * 3, expected: contextWidth },
      },
    );
  }
  return { part: 'llm', layers, rowLength: fluxRowLength, ...planNetwork('causal_lm', config, tensors) };
}

/** Blocks of the published models: Qwen3 4B and 8B, Mistral Small. */
const publishedDepth = { qwen: 36, mistral: 40 };

/** States at a quarter, half and three quarters of the depth. A file may end there: ComfyUI's Mistral has 30 of 40 layers. */
function chooseLayers(tensors: Tensors): number[] {
  const found = countLayers(tensors);
  const published = hasQkNorm(tensors) ? publishedDepth.qwen : publishedDepth.mistral;
  const depth = found < published && found >= (3 * published) / 4 ? published : found;
  const quarter = Math.max(1, Math.floor(depth / 4));
  return [quarter, 2 * quarter, 3 * quarter];
}

/** The published models' constants, unless GGUF metadata or a config.json beside the file has others. */
function readFacts({ source, layout, tensors }: FoundNetwork): CausalLmFacts {
  const qwen = hasQkNorm(tensors);
  const { metadata } = source;
  const architecture = metadata.get('general.architecture');
  const read = (key: string, inConfig: string): number | undefined => {
    const text = (source.config?.text_config ?? source.config) as Record<string, unknown> | undefined;
    const value = metadata.get(`${String(architecture)}.${key}`) ?? text?.[inConfig];
    return typeof value === 'number' && value > 0 ? value : undefined;
  };
  const headDim = read('attention.key_length', 'head_dim');
  return {
    theta: read('rope.freq_base', 'rope_theta') ?? (qwen ? 1e6 : 1e9),
    eps: read('attention.layer_norm_rms_epsilon', 'rms_norm_eps') ?? (qwen ? 1e-6 : 1e-5),
    ropeInterleaved: layout === 'llama.cpp' && !qwen,
    ...(headDim !== undefined && { headDim }),
  };
}
