// Makes the plan of an upscaler from a file. Network and scale follow from the tensors.
import { ImageForgeError } from '../shared/errors.js';
import { planNetwork } from './family.js';
import { describeNetworks, findNetworks } from './find-networks.js';
import { findForeign } from './foreign.js';
import { hasKind, ofKind, upscalers } from './networks/index.js';
import { nameModel, openSources } from './sources.js';
import type { NetworkPlan } from './types.js';

export interface UpscalerPlan extends NetworkPlan {
  /** For people. */
  name: string;
  /** How many times larger a picture's sides become. */
  scale: number;
  /** Sides of what it takes are multiples of this. */
  multiple: number;
  /** Bytes of memory that it needs for each pixel of the input. */
  bytesPerPixel: number;
}

/** Reads the header only. @throws WEIGHTS_UNREADABLE, WEIGHTS_INVALID or UNSUPPORTED; each names the file */
export async function planUpscaler(path: string): Promise<UpscalerPlan> {
  const sources = await openSources({ model: path });
  const networks = sources.flatMap(findNetworks);
  const found = networks.find(({ kind }) => hasKind(upscalers, kind));
  if (!found) {
    const what = findForeign(sources[0]!.tensors) ?? describeNetworks(networks);
    throw new ImageForgeError('UNSUPPORTED', `${path} has ${what}; an ESRGAN upscaler was expected`, {
      hint: 'RealESRGAN_x2plus, RealESRGAN_x4plus and RealESRGAN_x4plus_anime_6B run, as safetensors.',
      details: { file: path },
    });
  }
  const { kind, tensors, source } = found;
  const network = ofKind(upscalers, kind);
  const { config, scale, multiple } = network.read(tensors, source.label);
  return {
    ...planNetwork(kind, config, tensors),
    name: nameModel(source),
    scale,
    multiple,
    bytesPerPixel: network.computeBytes(config, { pixels: 1, referencePixels: 0, factor: 1, tokens: 0 }),
  };
}
