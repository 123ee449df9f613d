// The scheduler of a diffusers folder: which settings are honoured, which are refused by name, and what becomes a note.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { inspectFile } from '../../../src/families/inspect.js';
import { goldenCase } from '../../golden.js';
import { onlyBelow } from './with-tensors.js';

const sd1 = goldenCase('e2e-sd1').weights();
const folder = mkdtempSync(join(tmpdir(), 'imageforge-scheduler-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Text for values that Python writes but JSON does not have. */
type Scheduler = Record<string, unknown> | string;

function writeFolder(scheduler: Scheduler, vae?: object): string {
  const model = mkdtempSync(join(folder, 'diffusers-'));
  for (const name of ['unet', 'vae', 'scheduler']) mkdirSync(join(model, name));
  onlyBelow(sd1, 'model.diffusion_model.', join(model, 'unet/diffusion_pytorch_model.safetensors'));
  onlyBelow(sd1, 'first_stage_model.', join(model, 'vae/diffusion_pytorch_model.safetensors'));
  const text = typeof scheduler === 'string' ? scheduler : JSON.stringify(scheduler);
  writeFileSync(join(model, 'scheduler/scheduler_config.json'), text);
  if (vae) writeFileSync(join(model, 'vae/config.json'), JSON.stringify(vae));
  return model;
}

const usual = {
  _class_name: 'EulerDiscreteScheduler',
  _diffusers_version: '0.30.0',
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  num_train_timesteps: 1000,
  trained_betas: null,
  prediction_type: 'epsilon',
  interpolation_type: 'linear',
  timestep_spacing: 'leading',
  steps_offset: 1,
  use_karras_sigmas: false,
  rescale_betas_zero_snr: false,
};

describe('the scheduler of a diffusers folder', () => {
  test.each<[string, Scheduler, object]>([
    [
      'has the usual settings',
      usual,
      {
        noise: { schedule: 'scaled_linear', stepsOffset: 1 },
        defaults: { sampler: 'euler', schedule: 'leading' },
      },
    ],
    [
      'predicts v to zero terminal SNR',
      {
        ...usual,
        prediction_type: 'v_prediction',
        rescale_betas_zero_snr: true,
        timestep_spacing: 'trailing',
      },
      {
        prediction: 'v',
        noise: { zeroTerminalSnr: true },
        defaults: { sampler: 'euler', schedule: 'trailing' },
      },
    ],
    ['predicts the picture', { ...usual, prediction_type: 'sample' }, { prediction: 'x0' }],
    [
      'has linear betas',
      { ...usual, beta_schedule: 'linear', beta_start: 0.0001, beta_end: 0.02 },
      { noise: { schedule: 'linear', start: 0.0001, end: 0.02 } },
    ],
    [
      'completes betas as its class does',
      { _class_name: 'DDIMScheduler', beta_schedule: 'linear' },
      { noise: { schedule: 'linear', start: 0.0001, end: 0.02 }, defaults: { sampler: 'ddim' } },
    ],
    [
      'has the cosine schedule',
      { ...usual, beta_schedule: 'squaredcos_cap_v2' },
      { noise: { schedule: 'squaredcos_cap_v2' } },
    ],
    [
      'has its own betas',
      { ...usual, trained_betas: [0.01, 0.02, 0.03] },
      { noise: { betas: [0.01, 0.02, 0.03], count: 3 } },
    ],
    ['has no offset', { ...usual, steps_offset: 0 }, { noise: { stepsOffset: 0 } }],
    [
      'is leading without an offset',
      { _class_name: 'DDIMScheduler', timestep_spacing: 'leading' },
      { noise: { stepsOffset: 0 } },
    ],
    [
      'asks for karras within its own bounds',
      { ...usual, use_karras_sigmas: true, sigma_min: 0.1, sigma_max: 12 },
      { noise: { lowest: 0.1, highest: 12 }, defaults: { schedule: 'karras' } },
    ],
    [
      'asks for exponential',
      { ...usual, use_exponential_sigmas: true },
      { defaults: { schedule: 'exponential' } },
    ],
    ['asks for beta', { ...usual, use_beta_sigmas: true }, { defaults: { schedule: 'beta_sigmas' } }],
    [
      'ends at the lowest sigma',
      { ...usual, final_sigmas_type: 'sigma_min' },
      { noise: { endsAtLowest: true } },
    ],
    [
      "ends there, in DDIM's terms",
      { ...usual, _class_name: 'DDIMScheduler', set_alpha_to_one: false },
      { noise: { endsAtLowest: true } },
    ],
    [
      'is EDM',
      {
        _class_name: 'EDMDPMSolverMultistepScheduler',
        sigma_data: 0.5,
        sigma_max: 80,
        sigma_min: 0.002,
        prediction_type: 'epsilon',
        sigma_schedule: 'karras',
        rho: 7,
      },
      {
        prediction: 'edm',
        noise: { kind: 'edm', min: 0.002, max: 80, data: 0.5 },
        defaults: { sampler: 'dpmpp_2m', schedule: 'karras' },
      },
    ],
    [
      'is EDM with velocity',
      {
        _class_name: 'EDMEulerScheduler',
        sigma_data: 1,
        sigma_max: 120,
        sigma_min: 0.002,
        prediction_type: 'v_prediction',
        sigma_schedule: 'exponential',
      },
      {
        prediction: 'v',
        noise: { kind: 'edm', max: 120, data: 1 },
        defaults: { sampler: 'euler', schedule: 'exponential' },
      },
    ],
    [
      'has continuous timesteps',
      {
        ...usual,
        timestep_type: 'continuous',
        prediction_type: 'v_prediction',
        sigma_min: 0.002,
        sigma_max: 700,
      },
      { prediction: 'v', noise: { kind: 'edm', min: 0.002, max: 700, data: 1 } },
    ],
    [
      'is a stochastic DPM-Solver, with an infinity',
      `{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "lambda_min_clipped": -Infinity, "prediction_type": "v_prediction"}`,
      { prediction: 'v', defaults: { sampler: 'dpmpp_2m_sde', schedule: 'karras' } },
    ],
    [
      'has a sampler that ImageForge lacks',
      { ...usual, _class_name: 'PNDMScheduler', skip_prk_steps: true, set_alpha_to_one: false },
      { defaults: { sampler: 'dpmpp_2m', schedule: 'leading' } },
    ],
    [
      'is distilled',
      { ...usual, _class_name: 'LCMScheduler', original_inference_steps: 50 },
      { defaults: { sampler: 'lcm', schedule: 'sgm_uniform' } },
    ],
  ])('%s', async (_, scheduler, expected) => {
    const model = writeFolder(scheduler);
    const plan = await planModel({ model, clip_l: sd1 });
    expect(plan).toMatchObject(expected);
    expect(plan.notes).toEqual([]);
    expect(plan.configFiles).toEqual([join(model, 'scheduler/scheduler_config.json')]);
    expect((await inspectFile(model)).sampling?.told.noise).toContain('scheduler_config.json');
  });

  test.each<[string, object, string, RegExp]>([
    ['beta_schedule', { ...usual, beta_schedule: 'sigmoid' }, 'UNSUPPORTED', /"sigmoid".*squaredcos_cap_v2/],
    ['prediction_type', { ...usual, prediction_type: 'flow_prediction' }, 'UNSUPPORTED', /flow_prediction/],
    [
      'timestep_spacing',
      { ...usual, timestep_spacing: 'middle' },
      'UNSUPPORTED',
      /"middle".*leading, trailing, linspace/,
    ],
    ['final_sigmas_type', { ...usual, final_sigmas_type: 'half' }, 'UNSUPPORTED', /"half"/],
    ['interpolation_type', { ...usual, interpolation_type: 'log_linear' }, 'UNSUPPORTED', /log_linear/],
    ['thresholding', { ...usual, thresholding: true }, 'UNSUPPORTED', /thresholding/],
    ['use_flow_sigmas', { ...usual, use_flow_sigmas: true }, 'UNSUPPORTED', /use_flow_sigmas/],
    ['_class_name', { ...usual, _class_name: 'FlowMatchEulerDiscreteScheduler' }, 'UNSUPPORTED', /FlowMatch/],
    ['invert_sigmas', { ...usual, invert_sigmas: true }, 'UNSUPPORTED', /invert_sigmas/],
    ['rho', { _class_name: 'EDMEulerScheduler', rho: 5 }, 'UNSUPPORTED', /rho/],
    ['timestep_type', { ...usual, timestep_type: 'continuous' }, 'UNSUPPORTED', /timestep_type/],
    ['beta_start', { ...usual, beta_start: 'small' }, 'WEIGHTS_INVALID', /beta_start.*"small"/],
    ['num_train_timesteps', { ...usual, num_train_timesteps: 0.5 }, 'WEIGHTS_INVALID', /num_train_timesteps/],
    ['trained_betas', { ...usual, trained_betas: [2, 3] }, 'WEIGHTS_INVALID', /trained_betas/],
  ])('%s is refused by its name, and inspect says so', async (_, scheduler, code, message) => {
    const model = writeFolder(scheduler as Record<string, unknown>);
    await expect(planModel({ model, clip_l: sd1 })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect((await inspectFile(model)).problem?.message).toMatch(message);
  });

  test('unknown settings and contradictions are notes', async () => {
    const model = writeFolder({
      ...usual,
      prediction_type: 'v_prediction',
      new_sigmas: 3,
      use_lu_lambdas: true,
    });
    const { notes, prediction } = await planModel({ model, clip_l: sd1 }, { prediction: 'eps' });
    expect(prediction).toBe('eps');
    expect(notes).toEqual([
      expect.stringContaining('new_sigmas'),
      expect.stringContaining('use_lu_lambdas'),
      expect.stringMatching(/by the caller; scheduler.* says v/),
    ]);
  });

  test('statistics and scale of the autoencoder', async () => {
    const [mean, std] = [
      [1, 2, 3, 4],
      [2, 2, 2, 4],
    ];
    const vae = { scaling_factor: 0.5, latents_mean: mean, latents_std: std };
    const plan = await planModel({ model: writeFolder(usual, vae), clip_l: sd1 });
    expect(plan.latent.statistics).toEqual({ mean, std, scale: 0.5, familyScale: 0.18215 });
    expect(plan.autoencoder.config).toMatchObject({ scale: 0.5 });
    const bad = writeFolder(usual, { ...vae, latents_std: [1] });
    await expect(planModel({ model: bad, clip_l: sd1 })).rejects.toMatchObject({ code: 'WEIGHTS_INVALID' });
  });
});
