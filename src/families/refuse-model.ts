// Errors for a file that was named as a model and isn't one: what it is instead, and what would help.
import { ImageForgeError } from '../shared/errors.js';
import type { Family } from './family.js';
import { describeNetworks, type FoundNetwork } from './find-networks.js';
import { findForeign } from './foreign.js';
import { isLora } from './lora/keys.js';
import { controlNets, denoisers, hasKind, networks, ofKind, upscalers } from './networks/index.js';
import type { Network } from './networks/network.js';
import type { WeightSource } from './sources.js';

export function refuseWithoutDenoiser(
  { label, tensors }: WeightSource,
  found: readonly FoundNetwork[],
  families: readonly Family[],
): ImageForgeError {
  const has = (list: readonly Network[]) => found.some(({ kind }) => hasKind(list, kind));
  const refuse = (message: string, hint: string) =>
    new ImageForgeError('UNSUPPORTED', message, { hint, details: { file: label } });
  if (isLora(tensors))
    return refuse(`${label} is a LoRA, not a model`, `Name a model, and this file with --lora ${label}.`);
  if (has(upscalers))
    return refuse(
      `${label} is an upscaler, not a model`,
      `imageforge upscale IMAGE --model ${label}, or --upscale ${label} beside a model.`,
    );
  if (has(controlNets))
    return refuse(
      `${label} is a ControlNet, not a model`,
      `Name a model, and this file with --control ${label} --control-image IMAGE.`,
    );
  const architecture = findForeign(tensors);
  if (architecture !== undefined)
    return refuse(
      `${label} is ${architecture}, which ImageForge doesn't run`,
      `${listTitles(families)} run.`,
    );
  const option = found[0] && ofKind(networks, found[0].kind).option;
  return new ImageForgeError(
    'MODEL_INCOMPLETE',
    `${label} has ${describeNetworks(found)}, but no denoiser (${nameDenoisers()})`,
    {
      hint: option
        ? `Name the model with --model FILE and this file with ${option} ${label}.`
        : `Name a model as GGUF, safetensors or a diffusers folder; ${listTitles(families)} run.`,
      details: { file: label },
    },
  );
}

/** The denoiser is known, but no family has this variant of it. */
export function refuseDenoiser(
  { source: { label, tensors } }: FoundNetwork,
  families: readonly Family[],
): ImageForgeError {
  const what = findForeign(tensors) ?? 'of no family that is known';
  return new ImageForgeError('UNSUPPORTED', `${label} is ${what}`, {
    hint: `Known are ${listTitles(families)}.`,
    details: { file: label },
  });
}

/** 'Stable Diffusion 1.x, Stable Diffusion 2.x, FLUX.1'. */
export function listTitles(families: readonly Pick<Family, 'title'>[]): string {
  return families.map(({ title }) => title).join(', ');
}

/** 'UNet or FLUX transformer'. */
function nameDenoisers(): string {
  return denoisers.map(({ title }) => title.replace(/^an? /, '')).join(' or ');
}
