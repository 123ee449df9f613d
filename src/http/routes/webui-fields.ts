// The WebUI's request fields in the words of our schema.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../../shared/config.js';
import { refuseField } from '../errors.js';

export type Fields = Record<string, unknown>;

/** A list's "let the program choose". */
const AUTOMATIC = /^(automatic|none|use same.*)?$/i;
const EXTRA_NETWORK = /<lora:([^:>]+)(?::(-?\d*\.?\d+))?(?::[^>]*)?>/g;

export function toFields(body: Fields, checkpoint: string | undefined, config: Config): Fields {
  const settings = (body.override_settings ?? {}) as Fields;
  const { prompt, loras } = takeLoras(body.prompt, config);
  return {
    prompt,
    loras,
    negative_prompt: body.negative_prompt,
    seed: body.seed,
    steps: body.steps,
    guidance: body.cfg_scale,
    width: body.width,
    height: body.height,
    sampler: choose(body.sampler_name ?? body.sampler_index),
    schedule: choose(body.scheduler),
    model: settings.sd_model_checkpoint ?? checkpoint,
    clip_skip: settings.CLIP_stop_at_last_layers,
    batch: multiply(body.batch_size, body.n_iter),
  };
}

function choose(name: unknown): unknown {
  return typeof name === 'string' && AUTOMATIC.test(name) ? undefined : name;
}

function multiply(size: unknown, rounds: unknown): unknown {
  const [a, b] = [size ?? 1, rounds ?? 1];
  return typeof a === 'number' && typeof b === 'number'
    ? a * b
    : [a, b].find((value) => typeof value !== 'number');
}

/** <lora:name:0.8> in the prompt names a file of the model folder. */
function takeLoras(
  text: unknown,
  config: Config,
): { prompt: unknown; loras: { path: string; strength: number }[] } {
  if (typeof text !== 'string') return { prompt: text, loras: [] };
  const known = listLoras(config);
  const loras = [...text.matchAll(EXTRA_NETWORK)].map(([, name, strength]) => {
    const found = known.find((lora) => lora.name === name);
    if (!found) refuseField('prompt', `prompt: there is no LoRA ${name} in ${loraFolder(config)}`);
    return { path: found.file, strength: Number(strength ?? 1) };
  });
  return { prompt: text.replace(EXTRA_NETWORK, '').trim(), loras };
}

export function listLoras(config: Config): { name: string; file: string }[] {
  const folder = loraFolder(config);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.safetensors'))
    .sort()
    .map((name) => ({ name: name.replace(/\.safetensors$/, ''), file: path.join(folder, name) }));
}

function loraFolder({ modelDir }: Config): string {
  return path.join(modelDir, 'loras');
}

export function readBase64(value: unknown, field: string): Buffer {
  if (typeof value !== 'string' || value === '') refuseField(field, `${field}: expected a picture in base64`);
  return Buffer.from(value.replace(/^data:[^,]*,/, ''), 'base64');
}
