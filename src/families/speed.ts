// Distilled models need other defaults than the models they were made from. Their tensors look the same, so only words
// tell them apart: what the file says about itself or, since many say nothing, its name.
import type { FoundNetwork } from './find-networks.js';
import { nameOnDisk } from './sources.js';

export type Speed = 'full' | 'turbo' | 'lightning' | 'lcm';

const titleKeys = [
  'general.name',
  'modelspec.title',
  'modelspec.architecture',
  'modelspec.description',
  'imageforge.speed',
];

export function speedOf({ source }: FoundNetwork): Speed {
  const { metadata, config } = source;
  const said = titleKeys.map((key) => metadata.get(key)).filter((value) => typeof value === 'string');
  const stated = readSpeed(said.join(' '));
  if (stated) return stated;
  const scheduler = config?.scheduler as { _class_name?: unknown; timestep_spacing?: unknown } | undefined;
  if (scheduler?._class_name === 'LCMScheduler') return 'lcm';
  if (
    scheduler?._class_name === 'EulerAncestralDiscreteScheduler' &&
    scheduler.timestep_spacing === 'trailing'
  )
    return 'turbo';
  return readSpeed(nameOnDisk(source)) ?? 'full';
}

function readSpeed(text: string): Speed | undefined {
  const words = text.toLowerCase().replace(/[\W_]+/g, ' ');
  if (/\blcm\b|latent consistency/.test(words)) return 'lcm';
  if (/lightning|hyper ?sd/.test(words)) return 'lightning';
  return /turbo/.test(words) ? 'turbo' : undefined;
}
