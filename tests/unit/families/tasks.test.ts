// UNets and transformers for tasks that ImageForge does not have are refused by the task's name when the file is opened.
// inspect says the same, whichever parts are missing.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { inspectFile } from '../../../src/families/inspect.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { goldenCase } from '../../golden.js';
import { type Shapes, writeShapes } from '../weights/make-files.js';

const prefix = 'model.diffusion_model.';

async function readShapes(name: string): Promise<Shapes> {
  const { tensors } = await readWeightFile(goldenCase(name).weights());
  const found = [...tensors.values()].filter(({ name }) => !/^(first|cond)_stage_model\./.test(name));
  return Object.fromEntries(found.map(({ name, shape }) => [name, shape]));
}

async function expectRefused(path: string, message: RegExp): Promise<void> {
  const expected = { code: 'UNSUPPORTED', message: expect.stringMatching(message) };
  await expect(planModel({ model: path })).rejects.toMatchObject(expected);
  const found = await inspectFile(path);
  expect(found.problem).toMatchObject(expected);
  expect(found.summary).toMatch(message);
}

/** Writes a copy with another number of input channels. */
function withInput(shapes: Shapes, channels: number, name = `${prefix}input_blocks.0.0.weight`): Shapes {
  const [width, , ...kernel] = shapes[name]!;
  return { ...shapes, [name]: [width!, channels, ...kernel] };
}

describe.each(['unet-sd1', 'unet-sd2', 'unet-sdxl'])(`input channels of %s`, (golden) => {
  test.each([
    [8, /InstructPix2Pix, CosXL Edit, Marigold, Zero123.*8 input channels/],
    [5, /depth map.*5 input channels/],
    [7, /x4-upscaler.*7 input channels/],
    [13, /task that is not known.*13 input channels/],
    [3, /task that is not known.*3 input channels/],
  ])('%d', async (channels, message) => {
    await expectRefused(writeShapes(withInput(await readShapes(golden), channels)), message);
  });

  test('4 and 9 run', async () => {
    for (const channels of [4, 9]) {
      const found = await inspectFile(writeShapes(withInput(await readShapes(golden), channels)));
      expect(found.problem).toBeUndefined();
      expect(found.missing.length).toBeGreaterThan(0);
    }
  });
});

describe('modules of other tasks', () => {
  test.each<[string, Shapes, RegExp]>([
    ['SVD', { 'input_blocks.1.0.time_stack.in_layers.0.weight': [8] }, /Stable Video Diffusion/],
    ['AnimateDiff', { 'input_blocks.1.motion_modules.0.norm.weight': [8] }, /AnimateDiff/],
    ['ModelScope', { 'input_blocks.1.2.temp_convs.weight': [8] }, /ModelScope/],
    ['GLIGEN', { 'position_net.linears.0.weight': [8, 8] }, /GLIGEN/],
    ['IP-Adapter', { 'input_blocks.1.1.transformer_blocks.0.attn2.to_k_ip.weight': [8, 8] }, /IP-Adapter/],
    ['x4-upscaler', { 'label_emb.weight': [1000, 8] }, /x4-upscaler/],
    ['Kolors', { 'encoder_hid_proj.weight': [8, 8] }, /Kolors/],
    ['LCM', { 'time_embed.cond_proj.weight': [8, 8] }, /LCM UNet with guidance embedded/],
    ['anything', { 'input_blocks.1.0.gate.weight': [8] }, /does not compute: input_blocks\.1\.0\.gate/],
  ])('%s', async (_, added, message) => {
    const shapes = await readShapes('unet-sd2');
    for (const [name, shape] of Object.entries(added)) shapes[prefix + name] = shape;
    await expectRefused(writeShapes(shapes), message);
  });

  test('the refiner, unCLIP and Lotus are told apart', async () => {
    const label = { [`${prefix}label_emb.0.0.weight`]: [8, 2048], [`${prefix}label_emb.0.2.weight`]: [8, 8] };
    const sd2 = { ...(await readShapes('unet-sd2')), ...label };
    await expectRefused(writeShapes(sd2), /unCLIP/);
    const names = Object.keys(sd2).filter((name) => /put_blocks\.(1|2|9|10|11)\.1\.(?!conv)/.test(name));
    const refiner = Object.fromEntries(Object.entries(sd2).filter(([name]) => !names.includes(name)));
    await expectRefused(writeShapes(refiner), /SDXL refiner/);
    const lotus = { ...sd2, [`${prefix}label_emb.0.0.weight`]: [8, 4] };
    await expectRefused(writeShapes(lotus), /Lotus/);
  });

  test('scales of quantised weights are not separate modules', async () => {
    const shapes = await readShapes('unet-sd1');
    shapes[`${prefix}input_blocks.1.0.in_layers.2.scale_input`] = [1];
    expect((await inspectFile(writeShapes(shapes))).problem).toBeUndefined();
  });
});

const folder = mkdtempSync(join(tmpdir(), 'imageforge-tasks-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('settings of a diffusers UNet', () => {
  async function writeUnet(config: object): Promise<string> {
    const model = mkdtempSync(join(folder, 'model-'));
    mkdirSync(join(model, 'unet'));
    writeShapes(await readShapes('unet-sd1'), join(model, 'unet/diffusion_pytorch_model.safetensors'));
    writeFileSync(join(model, 'unet/config.json'), JSON.stringify(config));
    return model;
  }

  test.each([
    ['act_fn', 'gelu'],
    ['class_embed_type', 'projection'],
    ['flip_sin_to_cos', false],
    ['freq_shift', 1],
    ['resnet_time_scale_shift', 'scale_shift'],
    ['encoder_hid_dim_type', 'image_proj'],
    ['time_cond_proj_dim', 256],
    ['conv_in_kernel', 5],
  ])('%s: %s', async (key, value) => {
    await expectRefused(await writeUnet({ [key]: value }), new RegExp(`${key}: ${JSON.stringify(value)}`));
  });

  test('the usual settings run', async () => {
    const config = {
      act_fn: 'silu',
      freq_shift: 0,
      flip_sin_to_cos: true,
      class_embed_type: null,
      sample_size: 64,
    };
    expect((await inspectFile(await writeUnet(config))).problem).toBeUndefined();
  });
});

describe('FLUX.1', () => {
  test.each([
    [(latent: number) => 2 * latent + 256, /FLUX\.1 Fill/],
    [(latent: number) => 2 * latent, /FLUX\.1 Canny or Depth/],
    [(latent: number) => latent + 7, /task that is not known/],
  ])('%s', async (channels, message) => {
    const shapes = await readShapes('flux1-dev');
    const name = Object.keys(shapes).find((key) => key.endsWith('img_in.weight'))!;
    const [width, latent] = shapes[name]!;
    await expectRefused(writeShapes({ ...shapes, [name]: [width!, channels(latent!)] }), message);
  });
});
