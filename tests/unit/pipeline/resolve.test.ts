// Defaults are filled in once, and errors name what is wrong and what is allowed.
import { describe, expect, it } from 'vitest';
import { type GenerationOptions, resolveRequest } from '../../../src/pipeline/resolve.js';
import { LIMITS } from '../../../src/shared/limits.js';

const files = { model: 'model.gguf' };
const plan = {
  prediction: 'eps',
  latent: { channels: 4, factor: 8 },
  defaults: { steps: 25, guidance: 7.5, width: 512, height: 384, sampler: 'dpmpp_2m', schedule: 'karras' },
} as const;
const picture = (width: number, height: number) => ({
  rgb: new Uint8Array(width * height * 3),
  width,
  height,
});
const resolve = (options: Partial<GenerationOptions>, of: Parameters<typeof resolveRequest>[2] = plan) =>
  resolveRequest({ prompt: 'a fox', ...options }, files, of);

describe('resolveRequest', () => {
  it('takes the model’s defaults', () => {
    const { seed, ...request } = resolve({});
    expect(request).toEqual({
      task: 'text2img',
      model: files,
      prompt: 'a fox',
      negativePrompt: '',
      width: 512,
      height: 384,
      steps: 25,
      guidance: 7.5,
      sampler: 'dpmpp_2m',
      schedule: 'karras',
      noise: 'philox',
      batch: 1,
      clipSkip: 1,
      strength: 0.6,
      previewEvery: 0,
    });
    expect(Number.isInteger(seed) && Number(seed) >= 0 && Number(seed) < 2 ** 32).toBe(true);
    expect(resolve({}).seed).not.toBe(seed);
  });

  it('requires sides of whole image tokens', () => {
    const flux = { ...plan, prediction: 'flow', latent: { channels: 16, factor: 8, multiple: 16 } } as const;
    expect(resolve({ width: 528, height: 512, schedule: 'flow' }, flux)).toMatchObject({ width: 528 });
    expect(() => resolve({ width: 520, schedule: 'flow' }, flux)).toThrow(
      /width: expected a positive multiple of 16/,
    );
  });

  it('derives the task and the size from the pictures', () => {
    const init = picture(64, 128);
    expect(resolve({ init })).toMatchObject({ task: 'img2img', width: 64, height: 128, strength: 0.6 });
    const mask = new Uint8Array(64 * 128);
    expect(resolve({ init, mask })).toMatchObject({ task: 'inpaint', strength: 0.85 });
  });

  it('lets the prediction be forced if the network predicts noise or velocity', () => {
    expect(resolve({ prediction: 'v' }).prediction).toBe('v');
    expect(() => resolve({ prediction: 'flow' as 'v' })).toThrow(/expected eps or v, found flow/);
    expect(() => resolve({ prediction: 'v' }, { ...plan, prediction: 'flow' })).toThrow(/prediction/);
  });

  it('refuses another prediction for EDM, and Align Your Steps for noise that is not the published one', () => {
    const noise = { kind: 'edm', min: 0.002, max: 80, data: 0.5 } as const;
    const edm = { ...plan, prediction: 'edm', noise } as const;
    expect(() => resolve({ prediction: 'v' }, edm)).toThrow(/prediction: expected none.*predicts edm/);
    expect(() => resolve({ schedule: 'ays' }, edm)).toThrow(/this model has others/);
    expect(resolve({ schedule: 'ays' }).schedule).toBe('ays');
  });

  it('takes guidance rescale, and the model’s own clip skip', () => {
    expect(resolve({ guidanceRescale: 0.7 }).guidanceRescale).toBe(0.7);
    expect(resolve({ guidanceRescale: 0 })).not.toHaveProperty('guidanceRescale');
    expect(() => resolve({ guidanceRescale: 1.1 })).toThrow(/guidanceRescale: expected a number from 0 to 1/);
    const skipping = { ...plan, defaults: { ...plan.defaults, clipSkip: 2 } };
    expect(resolve({}, skipping).clipSkip).toBe(2);
    expect(resolve({ clipSkip: 1 }, skipping).clipSkip).toBe(1);
  });

  it('knows samplers by any spelling, and the schedule that comes with one', () => {
    expect(resolve({ sampler: 'Euler a' })).toMatchObject({ sampler: 'euler_a', schedule: 'karras' });
    const both = resolve({ sampler: 'DPM++ 2M SDE Exponential' });
    expect(both).toMatchObject({ sampler: 'dpmpp_2m_sde', schedule: 'exponential' });
    expect(resolve({ sampler: 'DPM++ 2M Karras', schedule: 'simple' }).schedule).toBe('simple');
    expect(() => resolve({ schedule: 'flow' })).toThrow(/flow/);
  });

  it.each<[string, Partial<GenerationOptions>, RegExp]>([
    ['width', { width: 100 }, /multiple of 8.*100/],
    ['width', { width: -8 }, /positive multiple/],
    ['width', { width: 56 }, /from 64 up to 16384, found 56/],
    ['height', { height: 2 ** 20 }, /up to 16384/],
    ['steps', { steps: 1.5 }, /from 1 to 200, found 1.5/],
    ['guidance', { guidance: Number.POSITIVE_INFINITY }, /from 0 to 50, found Infinity/],
    ['seed', { seed: 2 ** 53 }, /whole number.*found 9007199254740992/],
    ['batch', { batch: 0 }, /from 1 to 16/],
    ['clipSkip', { clipSkip: 13 }, /from 1 to 12/],
    ['strength', { strength: 1.01 }, /from 0 to 1/],
    ['previewEvery', { previewEvery: -1 }, /previewEvery/],
    ['noise', { noise: 'white' as 'torch' }, /philox or torch, found white/],
    ['init', { init: { ...picture(64, 64), rgb: new Uint8Array(5) } }, /5 bytes/],
    ['init', { init: picture(64, 64), width: 128 }, /picture of 128x64, found 64x64/],
    ['mask', { mask: new Uint8Array(4) }, /mask without a picture/],
    ['mask', { init: picture(64, 64), mask: new Uint8Array(4) }, /4096 bytes/],
    [
      'strength of LoRA a.safetensors',
      { loras: [{ path: 'a.safetensors', strength: 99 }] },
      /from -10 to 10/,
    ],
  ])('refuses a bad %s', (option, options, message) => {
    const attempt = () => resolve(options);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', details: { option } }));
  });

  it.each([
    ['steps', LIMITS.steps],
    ['guidance', LIMITS.guidance],
    ['batch', LIMITS.batch],
    ['clipSkip', LIMITS.clipSkip],
  ])('bounds %s as the other doors do', (option, most) => {
    expect(resolve({ [option]: most, seed: 0 })).toMatchObject({ [option]: most });
    expect(() => resolve({ [option]: most + 1 })).toThrow(new RegExp(`${option}: .* to ${most}, found`));
  });

  it('gives every picture of a batch a valid seed', () => {
    expect(resolve({ seed: LIMITS.seed }).seed).toBe(`${LIMITS.seed}`);
    expect(resolve({ seed: LIMITS.seed - 3n, batch: 4 }).seed).toBe(`${LIMITS.seed - 3n}`);
    const attempt = () => resolve({ seed: LIMITS.seed - 2n, batch: 4 });
    expect(attempt).toThrow(
      `seed: expected at most ${LIMITS.seed - 3n} for a batch of 4, found ${LIMITS.seed - 2n}.`,
    );
    expect(attempt).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', details: { option: 'seed' } }),
    );
  });

  it('demands larger multiples if the network does', () => {
    const flux = { ...plan, latent: { channels: 16, factor: 8, multiple: 16 } };
    expect(() => resolve({ width: 520 }, flux)).toThrow(/multiple of 16/);
  });
});
