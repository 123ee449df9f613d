// How strong a module's update is: its scale is alpha / rank. Alpha stands beside the module's factors, in the file's
// metadata, or in PEFT's configuration; where it stands nowhere, the scale is 1.
import { basename, dirname, join } from 'node:path';
import { ImageForgeError } from '../../shared/errors.js';
import { readFloats } from '../../weights/read-floats.js';
import { parseJson, readJson } from '../../weights/read-json.js';
import type { WeightSource } from '../sources.js';
import type { LoraModule, LoraTensor } from './keys.js';

/** What a file says about the scale of all its modules. */
export interface LoraSettings {
  /** Alpha of a module that has none of its own. */
  alpha(module: string, isKernel: boolean): number | undefined;
  /** rsLoRA: divided by the rank's square root. */
  rankStabilised(module: string): boolean;
}

export function readSettings(source: WeightSource): LoraSettings {
  const text = source.metadata.get('lora_adapter_metadata');
  if (typeof text === 'string') return peftSettings(parseJson(text, source.label));
  const path = source.files[0]?.path ?? source.label;
  const beside = basename(path).startsWith('adapter_model')
    ? readJson(join(dirname(path), 'adapter_config.json'))
    : undefined;
  return beside ? peftSettings(beside) : kohyaSettings(source);
}

/** PEFT's configuration; diffusers puts the network's name before each field: {"unet.lora_alpha": 8, …}. */
function peftSettings(config: Record<string, unknown>): LoraSettings {
  const field = (module: string, name: string) => {
    const network = module.split('.')[0];
    return config[`${network}.${name}`] ?? config[name];
  };
  return {
    alpha(module) {
      const patterns = field(module, 'alpha_pattern');
      const own =
        typeof patterns === 'object' && patterns !== null ? matchPattern(patterns, module) : undefined;
      return toNumber(own ?? field(module, 'lora_alpha') ?? field(module, 'alpha'));
    },
    rankStabilised: (module) => field(module, 'use_rslora') === true,
  };
}

/** Of PEFT's patterns the first that is the module's path, or its end from a dot on. */
function matchPattern(patterns: object, module: string): unknown {
  for (const [pattern, value] of Object.entries(patterns)) {
    const anchored = pattern.startsWith('^') ? `^([\\w]+\\.)?${pattern.slice(1)}` : `(^|\\.)(${pattern})$`;
    try {
      if (new RegExp(anchored).test(module)) return value;
    } catch {
      if (module === pattern || module.endsWith(`.${pattern}`)) return value;
    }
  }
  return undefined;
}

function kohyaSettings({ metadata, label }: WeightSource): LoraSettings {
  const text = metadata.get('ss_network_args');
  const args = typeof text === 'string' && text.startsWith('{') ? parseJson(text, label) : {};
  const alpha = toNumber(metadata.get('ss_network_alpha'));
  const stabilised = /^true$/i.test(String(args.rs_lora));
  return {
    alpha: (_, isKernel) => (isKernel ? toNumber(args.conv_alpha) : undefined) ?? alpha,
    rankStabilised: () => stabilised,
  };
}

function toNumber(value: unknown): number | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined;
  const number = Number(value);
  return value !== '' && Number.isFinite(number) ? number : undefined;
}

/** alpha / rank, or alpha / sqrt(rank); an alpha of 0 means that there is none, as trainers write it. */
export async function readScale(
  { alpha, rankStabilised }: LoraSettings,
  name: string,
  module: LoraModule,
  { rank, isKernel }: { rank: number | undefined; isKernel: boolean },
): Promise<number> {
  const scalar = await readNumber(module.get('scalar'));
  if (rank === undefined) return scalar ?? 1;
  const value = (await readNumber(module.get('alpha'))) ?? alpha(name, isKernel);
  const scale =
    value === undefined || value === 0 ? 1 : value / (rankStabilised(name) ? Math.sqrt(rank) : rank);
  return scale * (scalar ?? 1);
}

/** The one value of a small tensor. */
export async function readNumber(tensor: LoraTensor | undefined): Promise<number | undefined> {
  if (!tensor) return undefined;
  const values = await readFloats(tensor.view);
  const value = values[0];
  if (values.length === 1 && Number.isFinite(value)) return value;
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${tensor.view.path}: ${tensor.key} is ${values.length === 1 ? value : `${values.length} values`}; one finite number was expected`,
    {
      hint: 'The file is damaged, or its training went wrong: get it again, or another one.',
      details: { file: tensor.view.path, tensor: tensor.key },
    },
  );
}
