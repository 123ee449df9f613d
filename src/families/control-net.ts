// Makes the plan of a ControlNet from a file or folder, and checks it against the model that it will steer.
import { ImageForgeError } from '../shared/errors.js';
import { planNetwork } from './family.js';
import { describeNetworks, type FoundNetwork, findNetworks } from './find-networks.js';
import { findForeign } from './foreign.js';
import { families } from './index.js';
import { controlNets, denoisers, hasKind, ofKind } from './networks/index.js';
import { listTitles } from './refuse-model.js';
import { nameModel, openSources, type WeightSource } from './sources.js';
import { need, type Tensors } from './tensors.js';
import type { ModelPlan, NetworkPlan } from './types.js';

export interface ControlNetPlan extends NetworkPlan {
  /** For people. */
  name: string;
}

/**
 * Reads headers only.
 * @throws ImageForgeError UNSUPPORTED where the model takes none or the file is another network, WEIGHTS_INVALID where
 *   it was made for another family or tensors are missing, and those of readWeightFile.
 */
export async function planControlNet(path: string, model: ModelPlan): Promise<ControlNetPlan> {
  if (!controlNets.some(({ denoiser }) => denoiser === model.denoiser.kind)) throw refuseModel(path, model);
  const { kind, tensors, source } = await findControlNet(path);
  const { label } = source;
  const { read, listTensors } = ofKind(controlNets, kind);
  const config = read(tensors, label, model.denoiser);
  refuseOtherFamily(label, kind, config, model);
  for (const tensor of listTensors(config, model.denoiser)) need(tensors, tensor, label);
  return { ...planNetwork(kind, config, tensors), name: nameModel(source) };
}

/** The ControlNet that a file or folder holds. */
export async function findControlNet(path: string): Promise<FoundNetwork> {
  const sources = await openSources({ model: path });
  const inside = sources.flatMap(findNetworks);
  const found = inside.find(({ kind }) => hasKind(controlNets, kind));
  const variant = sources.map(findVariant).find((name) => name !== undefined);
  if (found && variant === undefined) return found;
  const what = variant ?? findForeign(sources[0]!.tensors) ?? describeNetworks(inside);
  throw new ImageForgeError('UNSUPPORTED', `${path} has ${what}; a ControlNet was expected`, {
    hint: `ControlNets for ${nameSteered()} run, as safetensors, GGUF or diffusers folders.`,
    details: { file: path },
  });
}

/** Variants that have a ControlNet's tensors and compute something else. */
function findVariant({ tensors }: WeightSource): string | undefined {
  for (const name of tensors.keys()) {
    if (/(^|\.)lora_controlnet$/.test(name)) return 'a Control-LoRA';
    if (/(^|\.)(task_embedding$|control_add_embedding\.|spatial_ch_projs\.)/.test(name))
      return 'a ControlNet Union of several kinds';
  }
  return undefined;
}

/** The family that a ControlNet was made for. */
export function nameControlNetFamily(tensors: Tensors): string {
  const family = families.find(({ controlNet }) => controlNet?.(tensors));
  return family?.title ?? 'models of no family that is known';
}

/** Titles of the families that take ControlNets. */
function nameSteered(): string {
  return listTitles(families.filter(({ controlNet }) => controlNet));
}

function refuseModel(path: string, { name, family }: ModelPlan): ImageForgeError {
  const takers = controlNets.map(({ denoiser }) => ofKind(denoisers, denoiser).title).join(' or ');
  return new ImageForgeError(
    'UNSUPPORTED',
    `${path}: ${name} is a model of the family ${family}, which takes no ControlNet; one with ${takers} was expected`,
    {
      hint: `Use a model of one of these families, or leave the ControlNet out: ${nameSteered()}.`,
      details: { file: path },
    },
  );
}

function refuseOtherFamily(
  label: string,
  kind: string,
  config: { inChannels: number },
  { name, family, latent, denoiser }: ModelPlan,
): void {
  const network = ofKind(controlNets, kind);
  const found = network.describe(config, config.inChannels);
  const expected =
    network.denoiser === denoiser.kind
      ? network.describe(denoiser.config, latent.channels)
      : ofKind(denoisers, denoiser.kind).title;
  if (found === expected) return;
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${label}: this ControlNet was made for another family or size of model: found ${found}; ${name} (${family}) has ${expected}`,
    {
      hint: 'Use a ControlNet that was trained for this kind of model.',
      details: { file: label, found, expected, family },
    },
  );
}
