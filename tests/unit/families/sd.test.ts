// Stable Diffusion models become plans: by their tensors, with the published configurations, or with an answer.
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { goldenCase } from '../../golden.js';

const e2e = goldenCase('e2e-sd1');
const inpaint = goldenCase('unet-sd1-inpaint');

test.skipIf(!e2e.present)(`an SD 1.x checkpoint gives a complete plan ${e2e.reason}`, async () => {
  const plan = await planModel({ model: e2e.path('model.safetensors') });
  expect(plan).toMatchObject({
    family: 'sd1',
    prediction: 'eps',
    inpaint: false,
    latent: { channels: 4, factor: 8 },
    denoiser: {
      kind: 'unet',
      config: { channels: [32, 64, 32, 32], depth: [1, 1, 1, 0], heads: 8, contextWidth: 32, resBlocks: 2 },
    },
    autoencoder: { config: { channels: [32, 64, 32, 32], resBlocks: 2, scale: 0.18215, quantConv: true } },
  });
  expect(plan.textEncoders).toHaveLength(1);
  expect(plan.textEncoders[0]).toMatchObject({
    kind: 'clip',
    config: { width: 32, heads: 2, layers: 3, intermediate: 128, activation: 'quick_gelu', endToken: 49407 },
  });
  const names = plan.textEncoders[0]!.weights.tensors.map(({ name }) => name);
  expect(names).toContain('text_model.encoder.layers.0.self_attn.q_proj.weight');
  expect(names.some((name) => name.includes('position_ids'))).toBe(false);
});

test.skipIf(!inpaint.present)(`a UNet alone says which parts are missing ${inpaint.reason}`, async () => {
  const model = inpaint.path('model.safetensors');
  const error = { code: 'MODEL_INCOMPLETE' };
  await expect(planModel({ model })).rejects.toMatchObject({
    ...error,
    message: expect.stringMatching(
      / has no CLIP text encoder, no autoencoder$| has no autoencoder, no CLIP text encoder$/,
    ),
    hint: expect.stringMatching(/--vae.*--clip-l|--clip-l.*--vae/),
    details: { parts: expect.arrayContaining(['vae', 'clip_l']) },
  });
  const vae = e2e.path('model.safetensors');
  await expect(planModel({ model, vae })).rejects.toMatchObject({
    ...error,
    hint: expect.stringContaining('--clip-l'),
  });
  const plan = await planModel({ model, vae, clip_l: vae });
  expect(plan).toMatchObject({ family: 'sd1', inpaint: true, denoiser: { config: { inChannels: 9 } } });
});

const folder = mkdtempSync(join(tmpdir(), 'imageforge-names-'));
afterAll(() => rmSync(folder, { recursive: true }));

test.skipIf(!e2e.present).each([
  ['sd_turbo_fp16', { steps: 2, guidance: 0, sampler: 'euler_a', schedule: 'trailing' }],
  ['SomeLightning-4step', { steps: 4, guidance: 0, schedule: 'sgm_uniform' }],
  ['Hyper-SD15', { steps: 4, guidance: 0, schedule: 'sgm_uniform' }],
  ['dreamshaper_LCM_v7', { sampler: 'lcm', guidance: 1.5 }],
  ['alcmene', { steps: 25, guidance: 7.5, sampler: 'dpmpp_2m' }],
])(`%s has the defaults of its kind ${e2e.reason}`, async (name, defaults) => {
  const model = join(folder, `${name}.safetensors`);
  symlinkSync(e2e.path('model.safetensors'), model);
  expect((await planModel({ model })).defaults).toMatchObject(defaults);
});
