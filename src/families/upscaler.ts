// From a file to the plan of an upscaler: the network and its scale, read off the tensors.
import type { RrdbNetConfig } from '../native/configs.js';
import { ImageForgeError } from '../shared/errors.js';
import { planNetwork } from './family.js';
import { describeNetworks, findForeign, findNetworks } from './find-networks.js';
import { readRrdbNetConfig, scaleOf } from './networks/rrdbnet.js';
import { nameModel, openSources } from './sources.js';
import type { NetworkPlan } from './types.js';

export interface UpscalerPlan extends NetworkPlan {
  /** For people. */
  name: string;
  /** How many times larger a picture's sides become. */
  scale: number;
  /** Sides of what it takes are multiples of this. */
  multiple: number;
  /** Memory that it needs for each pixel that goes in. */
  bytesPerPixel: number;
}

/** Reads the header only. Throws WEIGHTS_UNREADABLE, WEIGHTS_INVALID or UNSUPPORTED that names the file. */
export async function planUpscaler(path: string): Promise<UpscalerPlan> {
  const sources = await openSources({ model: path });
  const networks = sources.flatMap(findNetworks);
  const found = networks.find(({ kind }) => kind === 'rrdbnet');
  if (!found) {
    const what = findForeign(sources[0]!.tensors) ?? describeNetworks(networks);
    throw new ImageForgeError('UNSUPPORTED', `${path} has ${what}; an ESRGAN upscaler was expected`, {
      hint: 'RealESRGAN_x2plus, RealESRGAN_x4plus and RealESRGAN_x4plus_anime_6B run, as safetensors.',
      details: { file: path },
    });
  }
  const config = readRrdbNetConfig(found.tensors, found.source.label);
  return {
    ...planNetwork('rrdbnet', config, found.tensors),
    name: nameModel(found.source),
    scale: scaleOf(config),
    multiple: config.shuffle,
    bytesPerPixel: bytesPerPixel(config),
  };
}

/** The larger of what is held at full size (two maps, the smaller one before them, the result) and in a dense block. */
function bytesPerPixel({ width, growth, doublings, shuffle }: RrdbNetConfig): number {
  const large = (2.25 * width + 3) * 4 ** doublings;
  const dense = 2 * (width + 4 * growth) + 3 * width;
  return (4 * Math.max(large, dense)) / shuffle ** 2;
}
