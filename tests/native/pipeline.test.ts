// The whole SD 1.x pipeline against the end-to-end case: text states, every step's latents, and the pictures.
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { chunkSdPrompt } from '../../src/families/sd/text.js';
import type { Pixels } from '../../src/native/addon.js';
import { generate } from '../../src/pipeline/generate.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import type { PipelineResult } from '../../src/pipeline/types.js';
import { assertClose, goldenCase, relativeDifference, toleranceOf } from '../golden.js';
import { useModel } from './use-model.js';

interface Stated {
  /** Its emphasis counts only where an expected tensor says "weighted"; elsewhere the brackets are plain text. */
  prompt: string;
  negative: string;
  seed: number;
  steps: number;
  cfg: number;
  strength: number;
  sampler: string;
  schedule: string;
}

const golden = goldenCase('e2e-sd1');
const { expected } = golden;
const stated = golden.config<Stated>();
// weights are F16, and the initial picture comes as 8-bit pixels
const precision = 'f16_gemm';
const plain = stated.prompt.replace(/[()[\]\\]/g, '\\$&');
const [height, width] = expected.get('txt2img.image')!.shape.slice(2) as [number, number];
const tokenizer = { padding: 49407, cleaning: 'huggingface' } as const;

interface Steps {
  x: Float32Array[];
  denoised: Float32Array[];
  latent: Float32Array;
  result: PipelineResult;
}

describe('e2e-sd1', () => {
  const model = useModel();

  function expectClose(found: Float32Array, name: string, step?: number): void {
    const { data, shape } = expected.get(name)!;
    const length = step === undefined ? data.length : data.length / shape[0]!;
    const from = (step ?? 0) * length;
    assertClose(found, data.subarray(from, from + length), toleranceOf(golden, name, precision));
  }

  /** Each step's latents; as many as the case has. */
  function expectSteps(found: Float32Array[], name: string): void {
    expect(found).toHaveLength(expected.get(name)!.shape[0]!);
    for (const [step, latent] of found.entries()) expectClose(latent, name, step);
  }

  async function encode(prompt = plain, clipSkip = 1, guidance = stated.cfg) {
    const request = { prompt, negativePrompt: stated.negative, guidance, clipSkip, width, height };
    return model().encodePrompts(request, undefined);
  }

  async function run(change: Partial<GenerationOptions>): Promise<Steps> {
    const { negative, seed, steps, cfg, strength, sampler, schedule } = stated;
    const request = resolveRequest(
      {
        prompt: plain,
        negativePrompt: negative,
        ...{ width, height, seed, steps, guidance: cfg, strength, sampler, schedule },
        noise: 'torch',
        ...change,
      },
      model().files,
      model().plan,
    );
    const found: Omit<Steps, 'result'> = { x: [], denoised: [], latent: new Float32Array() };
    const result = await generate(model(), request, {
      onStep: (_, x, denoised) => {
        found.x.push(x.slice());
        found.denoised.push(denoised.slice());
      },
      onLatent: (_, latent) => {
        found.latent = latent;
      },
    });
    return { ...found, result };
  }

  async function readPicture(file: string): Promise<Pixels> {
    const { data, info } = await sharp(golden.path(file)).raw().toBuffer({ resolveWithObject: true });
    return { rgb: new Uint8Array(data), width: info.width, height: info.height };
  }

  it('splits prompts into the same tokens', () => {
    const ids = (prompt: string) =>
      chunkSdPrompt(prompt, tokenizer).flatMap((chunk) => Array.from(chunk.ids));
    expect(ids(plain)).toEqual(Array.from(expected.get('tokens')!.data));
    expect(ids(stated.negative)).toEqual(Array.from(expected.get('tokens_negative')!.data));
    expect(ids(stated.prompt)).toEqual(Array.from(expected.get('tokens_weighted')!.data));
  });

  it('encodes prompts, clip skip and weights to the same states', async () => {
    const { positive, negative } = await encode();
    expect(positive.context.shape).toEqual(expected.get('cond')!.shape.slice(1));
    expectClose(positive.context.data, 'cond');
    expectClose(negative!.context.data, 'uncond');
    const skips = [...expected.keys()].filter((name) => name.startsWith('cond_skip'));
    expect(skips).not.toHaveLength(0);
    for (const name of skips) {
      const skipped = await encode(plain, Number(name.slice('cond_skip'.length)));
      expectClose(skipped.positive.context.data, name);
    }
    const emphasised = await encode(stated.prompt, 1, 1);
    expectClose(emphasised.positive.context.data, 'cond_weighted');
    expect(emphasised.negative).toBeUndefined();
  });

  it('makes the same picture from text, step by step', async () => {
    const { x, denoised, result } = await run({});
    expectSteps(x, 'txt2img.x');
    expectSteps(denoised, 'txt2img.denoised');
    const reference = await readPicture('txt2img.png');
    const { pixels, seed } = result.images[0]!;
    expect([pixels.width, pixels.height, seed]).toEqual([width, height, stated.seed]);
    expect(relativeDifference(pixels.rgb, reference.rgb)).toBeLessThan(0.01);
  });

  it('makes the same latent from a weighted prompt', async () => {
    const { latent } = await run({ prompt: stated.prompt });
    expectClose(latent, 'txt2img_weighted.x');
  });

  it('encodes the initial picture to the same latent', async () => {
    const { data, shape } = golden.inputs.get('init_image')!;
    const autoencoder = await model().loadAutoencoder();
    const { mean } = await autoencoder.encode({ data: data.map((v) => 2 * v - 1), shape: shape.slice(1) });
    expectClose(mean.data, 'init_latent');
  });

  it('changes a picture by the same steps', async () => {
    const { x, result } = await run({ init: await readPicture('init.png') });
    expectSteps(x, 'img2img.x');
    const reference = await readPicture('img2img.png');
    expect(relativeDifference(result.images[0]!.pixels.rgb, reference.rgb)).toBeLessThan(0.01);
  });

  it('repaints a part by the same steps and keeps every pixel of the rest', async () => {
    const init = await readPicture('init.png');
    const mask = Uint8Array.from(golden.inputs.get('mask')!.data, (v) => v * 255);
    const { x, denoised, latent, result } = await run({ init, mask });
    expectSteps(x, 'inpaint.x');
    expectSteps(denoised, 'inpaint.denoised');
    expectClose(latent, 'inpaint.latent');

    const { rgb } = result.images[0]!.pixels;
    const changed = (value: number) =>
      rgb.filter((v, i) => mask[Math.floor(i / 3)] === value && v !== init.rgb[i]);
    expect(changed(0)).toHaveLength(0);
    expect(changed(255).length).toBeGreaterThan(0.5 * 3 * mask.filter((v) => v === 255).length);
  });
});
