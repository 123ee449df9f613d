// Stable Diffusion models become plans from their tensors and the published configurations, or are refused with a reason.
import { symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { makeFolder } from '../../folder.js';
import { goldenCase } from '../../golden.js';
import { readUnet } from '../../golden-networks.js';
import { planInpaint } from '../../golden-plans.js';

interface Stated {
  text: { width: number; heads: number; layers: number; intermediate: number; vocab: number };
  unet: { channels: number[]; depth: number[]; context: number };
  vae: { channels: number[]; latent_channels: number; scaling_factor: number };
}

const e2e = goldenCase('e2e-sd1');
const inpaint = goldenCase('unet-sd1-inpaint');

test('an SD 1.x checkpoint gives a complete plan', async () => {
  const { text, unet, vae } = e2e.config<Stated>();
  const plan = await planModel({ model: e2e.weights() }, { textHeads: text.heads });
  expect(plan).toMatchObject({
    family: 'sd1',
    prediction: 'eps',
    inpaint: false,
    latent: { channels: vae.latent_channels, factor: 2 ** (vae.channels.length - 1) },
    denoiser: {
      kind: 'unet',
      // 8 heads, as published.
      config: { channels: unet.channels, depth: unet.depth, heads: 8, contextWidth: unet.context },
    },
    autoencoder: { config: { channels: vae.channels, scale: vae.scaling_factor, quantConv: true } },
  });
  expect(plan.textEncoders).toHaveLength(1);
  const { width, heads, layers, intermediate, vocab } = text;
  expect(plan.textEncoders[0]).toMatchObject({
    kind: 'clip',
    config: { width, heads, layers, intermediate, activation: 'quick_gelu', endToken: vocab - 1 },
  });
  const names = plan.textEncoders[0]!.weights.tensors.map(({ name }) => name);
  expect(names).toContain('text_model.encoder.layers.0.self_attn.q_proj.weight');
  expect(names.some((name) => name.includes('position_ids'))).toBe(false);
});

test('a UNet alone says which parts are missing', async () => {
  const model = inpaint.weights();
  const error = { code: 'MODEL_INCOMPLETE' };
  await expect(planModel({ model })).rejects.toMatchObject({
    ...error,
    message: expect.stringMatching(
      / has no CLIP text encoder, no autoencoder$| has no autoencoder, no CLIP text encoder$/,
    ),
    hint: expect.stringMatching(/--vae.*--clip-l|--clip-l.*--vae/),
    details: { parts: expect.arrayContaining(['vae', 'clip_l']) },
  });
  await expect(planModel({ model, vae: e2e.weights() })).rejects.toMatchObject({
    ...error,
    hint: expect.stringContaining('--clip-l'),
  });
  const { plan } = await planInpaint();
  const { inChannels } = (await readUnet(inpaint)).config;
  expect(plan).toMatchObject({ family: 'sd1', inpaint: true, denoiser: { config: { inChannels } } });
});

const folder = makeFolder('names');

test.each([
  ['sd_turbo_fp16', { steps: 2, guidance: 0, sampler: 'euler_a', schedule: 'trailing' }],
  ['SomeLightning-4step', { steps: 4, guidance: 0, schedule: 'sgm_uniform' }],
  ['Hyper-SD15', { steps: 4, guidance: 0, schedule: 'sgm_uniform' }],
  ['dreamshaper_LCM_v7', { sampler: 'lcm', guidance: 1.5 }],
  ['alcmene', { steps: 25, guidance: 7.5, sampler: 'dpmpp_2m' }],
])('%s has the defaults of its kind', async (name, defaults) => {
  const model = join(folder, `${name}.safetensors`);
  symlinkSync(e2e.weights(), model);
  const plan = await planModel({ model });
  expect(plan.defaults).toMatchObject(defaults);
  expect(plan.name).toBe(basename(model, '.safetensors'));
});
