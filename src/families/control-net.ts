// From a file or folder to the plan of a ControlNet, read against the model that it is to steer.
import type { ControlNetConfig, UnetConfig } from '../native/configs.js';
import { ImageForgeError } from '../shared/errors.js';
import { planNetwork } from './family.js';
import { describeNetworks, type FoundNetwork, findForeign, findNetworks } from './find-networks.js';
import { hintPlaces, readControlNetConfig } from './networks/controlnet.js';
import { sd1, sd2 } from './sd/index.js';
import { sdxl } from './sdxl/index.js';
import { nameModel, openSources, type WeightSource } from './sources.js';
import { need, type Tensors } from './tensors.js';
import type { ModelPlan, NetworkPlan } from './types.js';

export interface ControlNetPlan extends NetworkPlan {
  /** For people. */
  name: string;
}

const suitable =
  'ControlNets for Stable Diffusion 1.x, 2.x and XL run, as safetensors, GGUF or diffusers folders.';

/**
 * Reads headers only.
 * @throws ImageForgeError UNSUPPORTED where the model takes none or the file is another network, WEIGHTS_INVALID where
 *   it was made for another family or tensors are missing, and those of readWeightFile.
 */
export async function planControlNet(path: string, model: ModelPlan): Promise<ControlNetPlan> {
  const { denoiser, family, name } = model;
  if (denoiser.kind !== 'unet') {
    throw new ImageForgeError(
      'UNSUPPORTED',
      `${path}: ${name} is a model of the family ${family}, which takes no ControlNet; one with a UNet was expected`,
      {
        hint: 'Use a Stable Diffusion 1.x, 2.x or XL model, or leave the ControlNet out.',
        details: { file: path },
      },
    );
  }
  const found = await findControlNet(path);
  const { label } = found.source;
  const unet = denoiser.config as UnetConfig;
  const { normGroups, heads, headDim, contextWidth } = unet;
  const config = readControlNetConfig(found.tensors, label, {
    ...{ normGroups, contextWidth },
    ...(heads !== undefined && { heads }),
    ...(headDim !== undefined && { headDim }),
  });
  refuseOtherFamily(label, config, model, unet);
  for (const tensor of listTensors(config, unet, denoiser.weights.tensors))
    need(found.tensors, tensor, label);
  return { ...planNetwork('controlnet', config, found.tensors), name: nameModel(found.source) };
}

/** The ControlNet that a file or folder holds. */
export async function findControlNet(path: string): Promise<FoundNetwork> {
  const sources = await openSources({ model: path });
  const networks = sources.flatMap(findNetworks);
  const found = networks.find(({ kind }) => kind === 'controlnet');
  const variant = sources.map(findVariant).find((name) => name !== undefined);
  if (found && variant === undefined) return found;
  const what = variant ?? findForeign(sources[0]!.tensors) ?? describeNetworks(networks);
  throw new ImageForgeError('UNSUPPORTED', `${path} has ${what}; a ControlNet was expected`, {
    hint: suitable,
    details: { file: path },
  });
}

/** Kinds that have a ControlNet's tensors and compute something else. */
function findVariant({ tensors }: WeightSource): string | undefined {
  for (const name of tensors.keys()) {
    if (/(^|\.)lora_controlnet$/.test(name)) return 'a Control-LoRA';
    if (/(^|\.)(task_embedding$|control_add_embedding\.|spatial_ch_projs\.)/.test(name))
      return 'a ControlNet Union of several kinds';
  }
  return undefined;
}

/** The family that a ControlNet was made for, by what sets their UNets apart. */
export function nameControlNetFamily(tensors: Tensors): string {
  if (tensors.has('label_emb.0.0.weight')) return sdxl.title;
  const projection = tensors.get('middle_block.1.proj_in.weight');
  return projection?.shape.length === 2 ? sd2.title : sd1.title;
}

function refuseOtherFamily(
  label: string,
  config: ControlNetConfig,
  model: ModelPlan,
  unet: UnetConfig,
): void {
  const describe = (
    { channels, contextWidth, vectorWidth }: Omit<UnetConfig, 'outChannels'>,
    latent: number,
  ) =>
    `${latent} latent channels, levels of ${channels.join(', ')} channels, text states of ${contextWidth}` +
    (vectorWidth > 0 ? ` and a vector of ${vectorWidth}` : '');
  const found = describe(config, config.inChannels);
  const expected = describe(unet, model.latent.channels);
  if (found === expected) return;
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${label}: this ControlNet was made for another family or size of model: found ${found}; ${model.name} (${model.family}) has ${expected}`,
    {
      hint: 'Use a ControlNet that was trained for this kind of model.',
      details: { file: label, found, expected, family: model.family },
    },
  );
}

const encoderHalf = /^(input_blocks|middle_block|time_embed|label_emb)\./;

/** Those that a copy of the UNet's first half has, and those that lead into it and out of it. */
function listTensors(
  config: ControlNetConfig,
  unet: UnetConfig,
  weights: readonly { name: string }[],
): string[] {
  const names = new Set(weights.map(({ name }) => name).filter((name) => encoderHalf.test(name)));
  // small ones have fewer transformers than the UNet
  const depths = ({ depth, middleDepth }: Pick<UnetConfig, 'depth' | 'middleDepth'>) => [
    ...depth,
    middleDepth,
  ];
  const all = String(depths(config)) === String(depths(unet)) ? names : new Set<string>();
  const places = config.channels.length * (config.resBlocks + 1);
  const modules = [
    ...hintPlaces.map((place) => `input_hint_block.${place}`),
    ...Array.from({ length: places }, (_, place) => `zero_convs.${place}.0`),
    'middle_block_out.0',
  ];
  return [...all, ...modules.flatMap((module) => [`${module}.weight`, `${module}.bias`])];
}
