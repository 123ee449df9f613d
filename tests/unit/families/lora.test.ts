// LoRA files find their places: every key of the golden files, in kohya's and in diffusers' names, and on no other model.
import { expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { resolveLora } from '../../../src/families/lora.js';
import { goldenCase } from '../../golden.js';
import { safetensors, writeTemporary } from '../weights/make-files.js';
import { planFlux1, planSd1 } from './golden-plans.js';

const sd1 = goldenCase('lora-sd1');
const flux = goldenCase('lora-flux1');

test.skipIf(!sd1.present)(`every module of the SD 1.x files has its target ${sd1.reason}`, async () => {
  const plan = await planSd1();
  const kohya = await resolveLora(sd1.path('kohya.safetensors'), plan, 0.8);
  expect(kohya).toMatchObject({ matched: 223, unknown: [] });
  expect(kohya.denoiser?.strength).toBe(0.8);
  expect(kohya.denoiser!.updates.every(({ scale }) => scale === 0.5)).toBe(true);
  expect(kohya.textEncoders[0]!.updates).toHaveLength(18);
  const targets = kohya.denoiser!.updates.map(({ target }) => target);
  expect(new Set(targets).size).toBe(targets.length);
  expect(targets).toContain('input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight');
  expect(targets).toContain('middle_block.0.in_layers.2.weight');

  const peft = await resolveLora(sd1.path('peft.safetensors'), plan, 1);
  expect(peft).toMatchObject({ matched: 178, unknown: [] });
  expect(peft.denoiser!.updates.every(({ scale }) => scale === 1)).toBe(true);
  for (const { target } of peft.denoiser!.updates) expect(targets).toContain(target);
});

test.skipIf(!flux.present)(
  `FLUX: fused rows in diffusers' names, whole matrices in kohya's ${flux.reason}`,
  async () => {
    const plan = await planFlux1();
    const kohya = await resolveLora(flux.path('kohya.safetensors'), plan, 1);
    expect(kohya).toMatchObject({ matched: 16, unknown: [] });
    const peft = await resolveLora(flux.path('peft.safetensors'), plan, 1);
    expect(peft).toMatchObject({ matched: 34, unknown: [] });
    const rows = Object.fromEntries(peft.denoiser!.updates.map(({ up, target, row }) => [up, [target, row]]));
    expect(rows['transformer.transformer_blocks.0.attn.to_v.up']).toEqual([
      'double_blocks.0.img_attn.qkv.weight',
      128,
    ]);
    expect(rows['transformer.transformer_blocks.1.attn.add_q_proj.up']).toEqual([
      'double_blocks.1.txt_attn.qkv.weight',
      0,
    ]);
    expect(rows['transformer.single_transformer_blocks.1.proj_mlp.up']).toEqual([
      'single_blocks.1.linear1.weight',
      192,
    ]);
  },
);

test.skipIf(!sd1.present)(`a LoRA of another family is refused ${sd1.reason}`, async () => {
  await expect(resolveLora(flux.path('peft.safetensors'), await planSd1(), 1)).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining('another family (FLUX)'),
    hint: expect.stringContaining('models inspect'),
  });
  const inpaint = goldenCase('unet-sd1-inpaint').path('model.safetensors');
  const vae = goldenCase('e2e-sd1').path('model.safetensors');
  const narrower = await planModel({ model: inpaint, vae, clip_l: vae });
  await expect(resolveLora(sd1.path('kohya.safetensors'), narrower, 1)).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(/lora_unet_\w+ has the factors/),
  });
  await expect(resolveLora(vae, await planSd1(), 1)).rejects.toMatchObject({
    message: expect.stringContaining('not a LoRA'),
  });
});

test.skipIf(!sd1.present)(
  `keys without a place are named, halves in the other order are turned ${sd1.reason}`,
  async () => {
    const entry = (shape: number[], begin: number) => ({
      dtype: 'F32',
      shape,
      data_offsets: [begin, begin + shape.reduce((a, b) => a * b, 4)],
    });
    const path = writeTemporary(
      safetensors(
        {
          'transformer.norm_out.linear.lora_A.weight': entry([1, 64], 0),
          'transformer.norm_out.linear.lora_B.weight': entry([128, 1], 256),
          'transformer.nowhere.lora_A.weight': entry([1, 1], 768),
          'lora_unet_x.dora_scale': entry([1], 772),
        },
        Buffer.alloc(776),
      ),
    );
    const lora = await resolveLora(path, await planFlux1(), 1);
    expect(lora.unknown).toEqual(['lora_unet_x.dora_scale', 'transformer.nowhere.lora_A.weight']);
    expect(lora.unsupported).toEqual(['DoRA']);
    expect(lora.matched).toBe(1);
    const offsets = new Map(lora.denoiser!.weights.tensors.map(({ name, offset }) => [name, offset]));
    const [first, second] = lora.denoiser!.updates;
    expect([first!.row, second!.row]).toEqual([64, 0]);
    expect(offsets.get(second!.up)! - offsets.get(first!.up)!).toBe(256);
  },
);
