// LoRA files match their models: every key of the golden files has a target, under kohya's and diffusers' names, and other
// models refuse them.
import { expect, test } from 'vitest';
import { resolveLora } from '../../../src/families/lora/resolve.js';
import type { FluxConfig } from '../../../src/families/networks/flux.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { goldenCase } from '../../golden.js';
import { planFlux1, planSd1 } from '../../golden-plans.js';
import { safetensors, writeTemporary } from '../weights/make-files.js';

const sd1 = goldenCase('lora-sd1');
const flux = goldenCase('lora-flux1');
const { rank, alpha } = sd1.config<{ rank: number; alpha: number }>();

/** The modules that a file updates. Each has one factor whose name ends like this. */
async function modulesOf(path: string): Promise<string[]> {
  const names = [...(await readWeightFile(path)).tensors.keys()];
  const factor = /\.lora_(up|B)\.weight$/;
  return names.filter((name) => factor.test(name)).map((name) => name.replace(factor, ''));
}

test('every module of the SD 1.x files has its target', async () => {
  const plan = await planSd1();
  const file = sd1.path('kohya.safetensors');
  const kohya = await resolveLora(file, plan, { denoiser: 0.8 });
  const modules = await modulesOf(file);
  expect(kohya).toMatchObject({ matched: modules.length, unknown: [] });
  expect(kohya.denoiser?.strength).toBe(0.8);
  expect(kohya.denoiser!.updates.every(({ scale }) => scale === alpha / rank)).toBe(true);
  const ofText = modules.filter((name) => name.startsWith('lora_te'));
  expect(kohya.textEncoders[0]!.updates).toHaveLength(ofText.length);
  const targets = kohya.denoiser!.updates.map(({ target }) => target);
  expect(new Set(targets).size).toBe(targets.length);
  expect(targets).toHaveLength(modules.length - ofText.length);
  expect(targets).toContain('input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight');
  expect(targets).toContain('middle_block.0.in_layers.2.weight');

  const peft = await resolveLora(sd1.path('peft.safetensors'), plan, { denoiser: 1 });
  const { length } = await modulesOf(sd1.path('peft.safetensors'));
  expect(peft).toMatchObject({ matched: length, unknown: [] });
  expect(peft.denoiser!.updates.every(({ scale }) => scale === 1)).toBe(true);
  for (const { target } of peft.denoiser!.updates) expect(targets).toContain(target);
});

test("FLUX: fused rows in diffusers' names, whole matrices in kohya's", async () => {
  const golden = goldenCase(flux.config<string>('base'));
  const plan = await planFlux1(golden, flux.weights());
  const { width, doubleBlocks, singleBlocks } = plan.denoiser.config as FluxConfig;
  const [kohya, peft] = [flux.path('kohya.safetensors'), flux.path('peft.safetensors')];
  const whole = await resolveLora(kohya, plan, { denoiser: 1 });
  expect(whole).toMatchObject({ matched: (await modulesOf(kohya)).length, unknown: [] });
  const split = await resolveLora(peft, plan, { denoiser: 1 });
  expect(split).toMatchObject({ matched: (await modulesOf(peft)).length, unknown: [] });
  const rows = Object.fromEntries(split.denoiser!.updates.map(({ up, target, row }) => [up, [target, row]]));
  const [double, single] = [doubleBlocks - 1, singleBlocks - 1];
  expect(rows['transformer.transformer_blocks.0.attn.to_v.lora_B.weight']).toEqual([
    'double_blocks.0.img_attn.qkv.weight',
    2 * width,
  ]);
  expect(rows[`transformer.transformer_blocks.${double}.attn.add_q_proj.lora_B.weight`]).toEqual([
    `double_blocks.${double}.txt_attn.qkv.weight`,
    0,
  ]);
  expect(rows[`transformer.single_transformer_blocks.${single}.proj_mlp.lora_B.weight`]).toEqual([
    `single_blocks.${single}.linear1.weight`,
    3 * width,
  ]);
});

test('a LoRA of another family or of another width is refused', async () => {
  await expect(
    resolveLora(flux.path('peft.safetensors'), await planSd1(), { denoiser: 1 }),
  ).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining('another family (FLUX)'),
    hint: expect.stringContaining('models inspect'),
  });
  const plan = await planSd1();
  const tensors = plan.denoiser.weights.tensors.map((tensor) => ({
    ...tensor,
    shape: [2 * tensor.shape[0]!, ...tensor.shape.slice(1)],
  }));
  const wider = { ...plan, denoiser: { ...plan.denoiser, weights: { ...plan.denoiser.weights, tensors } } };
  await expect(resolveLora(sd1.path('kohya.safetensors'), wider, { denoiser: 1 })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(/lora_unet_\w+ has the factors/),
  });
  await expect(resolveLora(goldenCase('e2e-sd1').weights(), plan, { denoiser: 1 })).rejects.toMatchObject({
    message: expect.stringContaining('not a LoRA'),
  });
});

test('keys without a target are named, and halves in the other order are swapped', async () => {
  const plan = await planFlux1();
  const { width } = plan.denoiser.config as FluxConfig;
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = {};
  let end = 0;
  const add = (name: string, ...shape: number[]) => {
    const begin = end;
    end += shape.reduce((a, b) => a * b, 4);
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, end] };
  };
  add('transformer.norm_out.linear.lora_A.weight', 1, width);
  add('transformer.norm_out.linear.lora_B.weight', 2 * width, 1);
  add('transformer.nowhere.lora_A.weight', 1, 1);
  add('lora_unet_x.reshape_weight', 1);
  const lora = await resolveLora(writeTemporary(safetensors(header, Buffer.alloc(end))), plan, {
    denoiser: 1,
  });
  expect(lora.unknown).toEqual(['lora_unet_x.reshape_weight', 'transformer.nowhere.lora_A.weight']);
  expect(lora.unsupported).toEqual(['Control LoRA']);
  expect(lora.matched).toBe(1);
  const offsets = new Map(lora.denoiser!.weights.tensors.map(({ name, offset }) => [name, offset]));
  const [first, second] = lora.denoiser!.updates;
  expect([first!.row, second!.row]).toEqual([width, 0]);
  expect(offsets.get(second!.up)! - offsets.get(first!.up)!).toBe(4 * width);
});
