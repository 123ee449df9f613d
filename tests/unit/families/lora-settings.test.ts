// The scale of a module's update: every place where files state it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../../scripts/fixtures/tensors.mjs';
import { resolveLora } from '../../../src/families/lora/resolve.js';
import { makeFolder } from '../../folder.js';
import { planSd1 } from '../../golden-plans.js';
import type { FileTensor } from '../../lora/kinds.js';

const { encode, writeSafetensors } = fixtures;
const folder = makeFolder('lora-settings');
const plan = await planSd1();
const module = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
const kernel = 'down_blocks.0.resnets.0.conv1';
const rank = 4;
const tensor = (...shape: number[]): FileTensor =>
  encode(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.1), shape, 'F32');
const shapeOf = (name: string) =>
  plan.denoiser.weights.tensors.find((entry) => entry.name === `${name}.weight`)!.shape as number[];
const [rows = 0, inputs = 0] = shapeOf('input_blocks.1.1.transformer_blocks.0.attn1.to_q');
const [out = 0, channels = 0] = shapeOf('input_blocks.1.0.in_layers.2');

const pair = (name: string): Record<string, FileTensor> => ({
  [`${name}.lora_A.weight`]: tensor(rank, inputs),
  [`${name}.lora_B.weight`]: tensor(rows, rank),
});
const kohya = (name: string) => `lora_unet_${name.replaceAll('.', '_')}`;
const kohyaPair = (): Record<string, FileTensor> => ({
  [`${kohya(module)}.lora_down.weight`]: tensor(rank, inputs),
  [`${kohya(module)}.lora_up.weight`]: tensor(rows, rank),
  [`${kohya(kernel)}.lora_down.weight`]: tensor(rank, channels, 3, 3),
  [`${kohya(kernel)}.lora_up.weight`]: tensor(out, rank, 1, 1),
});

/** The scales of all updates. */
async function scales(
  tensors: Record<string, FileTensor>,
  metadata: Record<string, string> = {},
  name = 'lora.safetensors',
): Promise<number[]> {
  const path = join(folder, name);
  writeSafetensors(path, new Map(Object.entries(tensors)), metadata);
  const { denoiser, unknown } = await resolveLora(path, plan, { denoiser: 1 });
  expect(unknown).toEqual([]);
  return denoiser!.updates.map(({ scale }) => scale);
}

const peft = (config: Record<string, unknown>, prefix = 'unet.') => ({
  lora_adapter_metadata: JSON.stringify(
    Object.fromEntries(Object.entries(config).map(([key, value]) => [prefix + key, value])),
  ),
});

it.each<[string, Record<string, unknown>, number]>([
  ['lora_alpha', { lora_alpha: 2 }, 2 / 4],
  ['rsLoRA', { lora_alpha: 2, use_rslora: true }, 2 / 2],
  ['a pattern for the end of its path', { lora_alpha: 2, alpha_pattern: { 'attn1.to_q': 8 } }, 8 / 4],
  ['a pattern for another module', { lora_alpha: 2, alpha_pattern: { to_k: 8 } }, 2 / 4],
  [
    'a regular expression',
    { lora_alpha: 2, alpha_pattern: { 'transformer_blocks\\.\\d+\\.attn1\\.to_.': 6 } },
    6 / 4,
  ],
  ['a pattern with rsLoRA', { lora_alpha: 2, alpha_pattern: { to_q: 6 }, use_rslora: true }, 6 / 2],
  [
    "a rank pattern, which the factors' shapes tell",
    { r: 16, lora_alpha: 2, rank_pattern: { to_q: 4 } },
    2 / 4,
  ],
])("PEFT's metadata: %s", async (_, config, expected) => {
  expect(await scales(pair(`unet.${module}`), peft(config))).toEqual([expected]);
  expect(await scales(pair(`unet.${module}`), peft(config, ''))).toEqual([expected]);
});

it("PEFT's configuration next to the file", async () => {
  mkdirSync(join(folder, 'peft'));
  writeFileSync(
    join(folder, 'peft/adapter_config.json'),
    JSON.stringify({ lora_alpha: 2, use_rslora: true }),
  );
  expect(await scales(pair(`base_model.model.${module}`), {}, 'peft/adapter_model.safetensors')).toEqual([1]);
});

it("kohya's metadata", async () => {
  expect(await scales(kohyaPair())).toEqual([1, 1]);
  expect(await scales(kohyaPair(), { ss_network_alpha: '2' })).toEqual([0.5, 0.5]);
  const args = { ss_network_alpha: '2', ss_network_args: JSON.stringify({ conv_alpha: '1' }) };
  expect(await scales(kohyaPair(), args)).toEqual([0.5, 0.25]);
  const stabilised = { ss_network_args: JSON.stringify({ rs_lora: 'True' }) };
  const alpha = { [`${kohya(module)}.alpha`]: encode([6], [], 'F32') };
  expect(await scales({ ...kohyaPair(), ...alpha }, stabilised)).toEqual([3, 1]);
});

it("a module's own alpha comes first, in every type", async () => {
  const whole = (value: number) => ({
    dtype: 'I64',
    shape: [],
    data: Buffer.from(BigInt64Array.of(BigInt(value)).buffer),
  });
  const double = (value: number) => ({
    dtype: 'F64',
    shape: [1],
    data: Buffer.from(Float64Array.of(value).buffer),
  });
  const bytes = (dtype: string, ...data: number[]) => ({ dtype, shape: [1], data: Buffer.from(data) });
  for (const alpha of [
    ...['I8', 'U8'].map((dtype) => bytes(dtype, 2)),
    ...['I16', 'U16'].map((dtype) => bytes(dtype, 2, 0)),
    ...['I32', 'U32'].map((dtype) => bytes(dtype, 2, 0, 0, 0)),
    bytes('U64', 2, 0, 0, 0, 0, 0, 0, 0),
    bytes('F8_E4M3', 0x40),
    bytes('F8_E5M2', 0x40),
    encode([2], [], 'F32'),
    encode([2], [], 'F16'),
    encode([2], [], 'BF16'),
    whole(2),
    double(2),
  ])
    expect(
      await scales({ ...pair(`unet.${module}`), [`unet.${module}.alpha`]: alpha }, peft({ lora_alpha: 9 })),
    ).toEqual([0.5]);
});

it('an alpha that is not a number is refused with the names of file and key', async () => {
  const tensors = { ...kohyaPair(), [`${kohya(module)}.alpha`]: encode([Number.NaN], [], 'F32') };
  await expect(scales(tensors, {}, 'nan.safetensors')).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(/nan\.safetensors.*to_q\.alpha is NaN/),
  });
});
