// What files say about prediction, noise and schedule: which source wins, what becomes a note, and what is refused.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { convertModel } from '../../../src/families/convert-model.js';
import { planModel } from '../../../src/families/index.js';
import { inspectFile } from '../../../src/families/inspect.js';
import { goldenCase } from '../../golden.js';
import { type Added, mark, withTensors } from './with-tensors.js';

const e2e = goldenCase('e2e-sd1');
const sdxl = goldenCase('unet-sdxl');
const sd1 = e2e.path('model.safetensors');

const folder = mkdtempSync(join(tmpdir(), 'imageforge-sampling-'));
afterAll(() => rmSync(folder, { recursive: true }));

const values = (shape: number[], ...numbers: number[]): Added => ({ shape, values: numbers });
const edm = {
  edm_mean: values([1, 4, 1, 1], -1.6574, 1.886, -1.383, 2.5155),
  edm_std: values([1, 4, 1, 1], 8.4927, 5.9022, 6.5498, 5.2299),
};

interface Case {
  title: string;
  tensors?: Record<string, Added>;
  metadata?: Record<string, string>;
  prediction: string;
  told: RegExp;
  noise: RegExp;
  notes?: RegExp[];
}

const cases: Case[] = [
  { title: 'nothing', prediction: 'eps', told: /^nothing/, noise: /scaled_linear.* to 14\.61$/ },
  { title: 'v_pred', tensors: { v_pred: mark }, prediction: 'v', told: /tensor v_pred/, noise: /14\.61$/ },
  {
    title: 'v_pred and ztsnr',
    tensors: { v_pred: mark, ztsnr: mark },
    prediction: 'v',
    told: /tensor v_pred/,
    noise: /4518\.76, zero terminal SNR$/,
  },
  {
    title: 'ztsnr alone',
    tensors: { ztsnr: mark },
    prediction: 'eps',
    told: /^nothing/,
    noise: /4518\.76, zero terminal SNR$/,
  },
  {
    title: "another family's architecture, which is set aside",
    metadata: { 'modelspec.architecture': 'stable-diffusion-v2-768-v' },
    prediction: 'eps',
    told: /^nothing/,
    noise: /14\.61$/,
    notes: [/modelspec\.architecture .* set aside/],
  },
  {
    title: 'markers below the denoiser',
    tensors: { 'model.diffusion_model.v_pred': mark, 'model.diffusion_model.ztsnr': mark },
    prediction: 'v',
    told: /diffusion_model\.v_pred/,
    noise: /zero terminal SNR/,
  },
  {
    title: 'EDM',
    tensors: edm,
    prediction: 'edm',
    told: /edm_mean/,
    noise: /^EDM, sigma 0\.002 to 80, sigma_data 0\.5$/,
  },
  {
    title: 'EDM with velocity',
    tensors: { 'edm_vpred.sigma_max': values([], 160) },
    prediction: 'v',
    told: /edm_vpred\.sigma_max/,
    noise: /^EDM, sigma 0\.002 to 160, sigma_data 1$/,
  },
  {
    title: 'EDM with velocity and both ends, marked twice',
    tensors: {
      'edm_vpred.sigma_max': values([1], 120),
      'edm_vpred.sigma_min': values([], 0.25),
      v_pred: mark,
    },
    prediction: 'v',
    told: /edm_vpred\.sigma_max/,
    noise: /^EDM, sigma 0\.25 to 120, sigma_data 1$/,
  },
  {
    title: 'EDM beside other marks',
    tensors: { ...edm, v_pred: mark, ztsnr: mark },
    prediction: 'edm',
    told: /edm_mean/,
    noise: /^EDM/,
    notes: [/v_pred says v and is set aside/, /ztsnr says nothing/],
  },
  ...['modelspec.prediction_type', 'modelspec.predict_key', 'prediction_type'].map((key) => ({
    title: key,
    metadata: { [key]: 'v' },
    prediction: 'v',
    told: new RegExp(`metadata ${key.replace('.', '\\.')}`),
    noise: /14\.61$/,
  })),
  {
    title: 'a marker against metadata',
    tensors: { v_pred: mark },
    metadata: { 'modelspec.prediction_type': 'epsilon' },
    prediction: 'v',
    told: /tensor v_pred/,
    noise: /14\.61$/,
    notes: [/predict v by the tensor v_pred; the metadata modelspec\.prediction_type says eps/],
  },
  {
    title: "ImageForge's own metadata against a marker",
    tensors: { v_pred: mark },
    metadata: { 'imageforge.prediction': 'eps' },
    prediction: 'eps',
    told: /imageforge\.prediction/,
    noise: /14\.61$/,
    notes: [/v_pred says v/],
  },
  {
    title: 'marks as metadata',
    metadata: { v_pred: 'True', ztsnr: '1' },
    prediction: 'v',
    told: /metadata v_pred/,
    noise: /zero terminal SNR/,
  },
  {
    title: 'metadata that says no',
    metadata: { v_pred: 'False', ztsnr: 'none', ss_zero_terminal_snr: 'False' },
    prediction: 'eps',
    told: /^nothing/,
    noise: /14\.61$/,
  },
  {
    title: 'a trainer that says zero terminal SNR',
    metadata: { ss_zero_terminal_snr: 'True', ss_v_parameterization: 'True' },
    prediction: 'v',
    told: /ss_v_parameterization/,
    noise: /zero terminal SNR/,
  },
  {
    title: "a trainer's table that ends without signal",
    tensors: { alphas_cumprod: values([3], 0.99, 0.3, 0) },
    prediction: 'eps',
    told: /^nothing/,
    noise: /zero terminal SNR/,
  },
  {
    title: "a trainer's table that is the published one",
    tensors: { alphas_cumprod: values([3], 0.99, 0.3, 0.00466) },
    prediction: 'eps',
    told: /^nothing/,
    noise: /14\.61$/,
  },
  {
    title: "a trainer's table that is another one",
    tensors: { alphas_cumprod: values([3], 0.99, 0.3, 0.002) },
    prediction: 'eps',
    told: /^nothing/,
    noise: /14\.61$/,
    notes: [/alphas_cumprod ends at 0\.002/],
  },
  {
    title: 'the picture itself',
    metadata: { prediction_type: 'sample' },
    prediction: 'x0',
    told: /prediction_type/,
    noise: /14\.61$/,
  },
];

describe('markers of a checkpoint', () => {
  test.each(cases)('$title', async ({ tensors = {}, metadata = {}, prediction, told, noise, notes = [] }) => {
    const path = withTensors(sd1, tensors, metadata);
    const found = await inspectFile(path);
    expect(found.problem).toBeUndefined();
    expect(found.sampling).toMatchObject({
      prediction,
      noise: expect.stringMatching(noise),
      told: { prediction: expect.stringMatching(told) },
    });
    expect(found.sampling!.notes).toEqual(notes.map((note) => expect.stringMatching(note)));
    const plan = await planModel({ model: path });
    expect(plan).toMatchObject({ prediction, notes: found.sampling!.notes });
  });

  test.each(cases)(
    '$title, converted to GGUF',
    async ({ tensors = {}, metadata = {}, prediction, noise }) => {
      const output = join(folder, 'converted.gguf');
      await convertModel({ input: withTensors(sd1, tensors, metadata), output, type: 'f16', force: true });
      const found = await inspectFile(output);
      expect(found.sampling).toMatchObject({ prediction, noise: expect.stringMatching(noise) });
      const { latent } = await planModel({ model: output });
      if (tensors === edm)
        expect(latent.statistics).toMatchObject({
          scale: 0.5,
          familyScale: 0.18215,
          mean: expect.any(Array),
        });
      expect(latent.statistics?.std.length).toBe('edm_std' in tensors ? 4 : undefined);
    },
  );

  test.each<[string, Record<string, Added>, Record<string, string>, string, RegExp]>([
    ['half of EDM', { edm_mean: edm.edm_mean }, {}, 'WEIGHTS_INVALID', /edm_mean without edm_std/],
    ['the other half', { edm_std: edm.edm_std }, {}, 'WEIGHTS_INVALID', /edm_std without edm_mean/],
    ['three means', { ...edm, edm_mean: values([3], 1, 2, 3) }, {}, 'WEIGHTS_INVALID', /4 finite numbers/],
    ['a zero deviation', { ...edm, edm_std: values([4], 1, 1, 0, 1) }, {}, 'WEIGHTS_INVALID', /positive/],
    [
      'only a lowest sigma',
      { 'edm_vpred.sigma_min': values([], 1) },
      {},
      'WEIGHTS_INVALID',
      /without edm_vpred\.sigma_max/,
    ],
    [
      'descending sigmas',
      { 'edm_vpred.sigma_max': values([], 0.001) },
      {},
      'WEIGHTS_INVALID',
      /sigma_min < sigma_max/,
    ],
    ['a flow', {}, { 'modelspec.prediction_type': 'rectified_flow' }, 'UNSUPPORTED', /rectified_flow/],
    ['an unknown word', {}, { prediction_type: 'score' }, 'UNSUPPORTED', /"score"/],
  ])('%s is refused, and inspect says so', async (_, tensors, metadata, code, message) => {
    const path = withTensors(sd1, tensors, metadata);
    await expect(planModel({ model: path })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect((await inspectFile(path)).problem).toMatchObject({ code });
  });

  test('the caller wins, and what the file says becomes a note', async () => {
    const plan = await planModel({ model: withTensors(sd1, { v_pred: mark }) }, { prediction: 'eps' });
    expect(plan.prediction).toBe('eps');
    expect(plan.notes).toEqual([expect.stringMatching(/by the caller; the tensor v_pred says v/)]);
  });

  test('defaults suit the noise', async () => {
    const defaults = async (tensors: Record<string, Added>, metadata = {}) =>
      (await planModel({ model: withTensors(sd1, tensors, metadata) })).defaults;
    expect(await defaults({ v_pred: mark, ztsnr: mark })).toMatchObject({
      sampler: 'euler',
      schedule: 'trailing',
      width: 512,
    });
    expect(await defaults({ v_pred: mark })).toMatchObject({
      sampler: 'dpmpp_2m',
      schedule: 'karras',
      width: 512,
    });
    expect(await defaults(edm)).toMatchObject({ guidance: 3, schedule: 'karras' });
    expect(await defaults({ 'edm_vpred.sigma_max': values([], 120) })).toMatchObject({
      schedule: 'exponential',
    });
    const spec = { 'modelspec.resolution': '768x512', 'modelspec.encoder_layer': '2' };
    expect(await defaults({}, spec)).toMatchObject({ width: 768, height: 512, clipSkip: 2 });
    const turbo = { 'modelspec.title': 'sd turbo' };
    expect(await defaults({ v_pred: mark, ztsnr: mark }, turbo)).toMatchObject({
      steps: 2,
      sampler: 'euler_a',
    });
  });

  test('modelspec that does not fit is a note', async () => {
    const metadata = {
      'modelspec.architecture': 'stable-diffusion-xl-v1-base',
      'modelspec.resolution': 'large',
      'modelspec.timestep_range': '0,200',
      'modelspec.encoder_layer': 'first',
    };
    const { sampling } = await inspectFile(withTensors(sd1, {}, metadata));
    expect(sampling!.notes).toEqual(
      ['architecture', 'resolution', 'encoder_layer', 'timestep_range'].map((key) =>
        expect.stringContaining(`modelspec.${key}`),
      ),
    );
  });
});

test('SDXL alone says the same', async () => {
  const path = withTensors(sdxl.path('model.safetensors'), { v_pred: mark, ztsnr: mark });
  const found = await inspectFile(path);
  expect(found).toMatchObject({
    family: 'sdxl',
    sampling: { prediction: 'v', noise: expect.stringContaining('zero terminal SNR') },
  });
  expect(found.missing.length).toBeGreaterThan(0);
});
