// The lists of networks, by what they are for. A network is a file in this folder and one entry here; the native side
// has the same lists in native/models/registry.cpp.
import { ImageForgeError } from '../../shared/errors.js';
import { autoencoderNetwork } from './autoencoder.js';
import { causalLmNetwork } from './causal-lm.js';
import { clipNetwork } from './clip.js';
import { controlNetNetwork } from './controlnet.js';
import { fluxNetwork } from './flux.js';
import type { Network } from './network.js';
import { rrdbNetNetwork } from './rrdbnet.js';
import { t5Network } from './t5.js';
import { tinyAutoencoderNetwork } from './tiny-autoencoder.js';
import { unetNetwork } from './unet.js';

export const denoisers = [unetNetwork, fluxNetwork] as const;
export const autoencoders = [autoencoderNetwork, tinyAutoencoderNetwork] as const;
export const textEncoders = [clipNetwork, t5Network, causalLmNetwork] as const;
export const upscalers = [rrdbNetNetwork] as const;
export const controlNets = [controlNetNetwork] as const;

const all = [...denoisers, ...autoencoders, ...textEncoders, ...upscalers, ...controlNets] as const;

export type NetworkKind = (typeof all)[number]['kind'];

/** In the order in which a file is searched for them. */
export const networks: readonly Network<NetworkKind>[] = all;

/** Whether one of these lists has a network of this kind. */
export function hasKind(list: readonly Network[], kind: string): boolean {
  return list.some((network) => network.kind === kind);
}

/** The network of this kind in one of these lists. */
export function ofKind<Listed extends Network>(list: readonly Listed[], kind: string): Listed {
  const network = list.find((network) => network.kind === kind);
  if (network) return network;
  const known = list.map(({ kind }) => kind).join(', ');
  throw new ImageForgeError('INTERNAL', `No network of the kind ${kind} is among ${known}.`);
}
