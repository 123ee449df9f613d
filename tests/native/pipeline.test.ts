// The whole pipeline against the reference's end-to-end case: text states, every step's latents, and the pictures.
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { PromptRequest } from '../../src/families/runtime.js';
import { chunkSdPrompt } from '../../src/families/sd/text.js';
import type { Pixels } from '../../src/native/addon.js';
import { generate } from '../../src/pipeline/generate.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import type { PipelineResult } from '../../src/pipeline/types.js';
import { assertClose, goldenCase, relativeDifference, toleranceOf } from '../golden.js';
import { useModel } from './use-model.js';

const golden = goldenCase('e2e-sd1');
// weights are F16, and the initial picture comes as 8-bit pixels
const precision = 'f16_gemm';
const plain = 'a red fox in the snow, \\(detailed:1.2\\) fur';
const weighted = 'a red fox in the snow, (detailed:1.2) fur';
const width = 192;
const height = 128;
const tokenizer = { padding: 49407, cleaning: 'huggingface' } as const;

interface Steps {
  x: Float32Array[];
  denoised: Float32Array[];
  latent: Float32Array;
  result: PipelineResult;
}

describe.skipIf(!golden.present)(`e2e-sd1 ${golden.reason}`, () => {
  const expected = golden.present ? golden.tensors('expected.safetensors') : new Map();
  const model = useModel(() => golden.path('model.safetensors'));

  function expectClose(found: Float32Array, name: string, step?: number): void {
    const { data, shape } = expected.get(name)!;
    const length = step === undefined ? data.length : data.length / shape[0];
    const from = (step ?? 0) * length;
    assertClose(found, data.subarray(from, from + length), toleranceOf(golden, name, precision));
  }

  function prompts(change: Partial<PromptRequest>): PromptRequest {
    return {
      prompt: plain,
      negativePrompt: 'blurry, low quality',
      guidance: 7,
      clipSkip: 1,
      width,
      height,
      ...change,
    };
  }

  async function run(change: Partial<GenerationOptions>): Promise<Steps> {
    const request = resolveRequest(
      {
        prompt: plain,
        negativePrompt: 'blurry, low quality',
        ...{ width, height, steps: 8, guidance: 7, seed: 42, strength: 0.6 },
        ...{ sampler: 'euler', schedule: 'normal', noise: 'torch' },
        ...change,
      },
      model().files,
      model().plan,
    );
    const steps: Omit<Steps, 'result'> = { x: [], denoised: [], latent: new Float32Array() };
    const result = await generate(model(), request, {
      onStep: (_, x, denoised) => {
        steps.x.push(x.slice());
        steps.denoised.push(denoised.slice());
      },
      onLatent: (_, latent) => {
        steps.latent = latent;
      },
    });
    return { ...steps, result };
  }

  async function readPicture(file: string): Promise<Pixels> {
    const { data, info } = await sharp(golden.path(file)).raw().toBuffer({ resolveWithObject: true });
    return { rgb: new Uint8Array(data), width: info.width, height: info.height };
  }

  it('splits prompts into the same tokens', () => {
    const ids = (prompt: string) => Array.from(chunkSdPrompt(prompt, tokenizer)[0]!.ids);
    expect(ids(plain)).toEqual(Array.from(expected.get('tokens')!.data));
    expect(ids('blurry, low quality')).toEqual(Array.from(expected.get('tokens_negative')!.data));
    expect(ids(weighted)).toEqual(Array.from(expected.get('tokens_weighted')!.data));
  });

  it('encodes prompts, clip skip and weights to the same states', async () => {
    const { positive, negative } = await model().encodePrompts(prompts({}), undefined);
    expect(positive.context.shape).toEqual([77, 32]);
    expectClose(positive.context.data, 'cond');
    expectClose(negative!.context.data, 'uncond');
    const skipped = await model().encodePrompts(prompts({ clipSkip: 2 }), undefined);
    expectClose(skipped.positive.context.data, 'cond_skip2');
    const emphasised = await model().encodePrompts(prompts({ prompt: weighted, guidance: 1 }), undefined);
    expectClose(emphasised.positive.context.data, 'cond_weighted');
    expect(emphasised.negative).toBeUndefined();
  });

  it('makes the same picture from text, step by step', async () => {
    const { x, denoised, result } = await run({});
    expect(x).toHaveLength(8);
    for (let step = 0; step < 8; step++) {
      expectClose(x[step]!, 'txt2img.x', step);
      expectClose(denoised[step]!, 'txt2img.denoised', step);
    }
    const reference = await readPicture('txt2img.png');
    const { pixels, seed } = result.images[0]!;
    expect([pixels.width, pixels.height, seed]).toEqual([width, height, 42]);
    expect(relativeDifference(pixels.rgb, reference.rgb)).toBeLessThan(0.01);
  });

  it('makes the same latent from a weighted prompt', async () => {
    const { latent } = await run({ prompt: weighted });
    expectClose(latent, 'txt2img_weighted.x');
  });

  it('encodes the initial picture to the same latent', async () => {
    const { data, shape } = golden.tensors('inputs.safetensors').get('init_image')!;
    const autoencoder = await model().loadAutoencoder();
    const { mean } = await autoencoder.encode({ data: data.map((v) => 2 * v - 1), shape: shape.slice(1) });
    expectClose(mean.data, 'init_latent');
  });

  it('changes a picture by the same steps', async () => {
    const { x, result } = await run({ init: await readPicture('init.png') });
    expect(x).toHaveLength(4);
    for (let step = 0; step < 4; step++) expectClose(x[step]!, 'img2img.x', step);
    const reference = await readPicture('img2img.png');
    expect(relativeDifference(result.images[0]!.pixels.rgb, reference.rgb)).toBeLessThan(0.01);
  });

  it('repaints a part by the same steps and keeps every pixel of the rest', async () => {
    const init = await readPicture('init.png');
    const mask = Uint8Array.from(golden.tensors('inputs.safetensors').get('mask')!.data, (v) => v * 255);
    const { x, denoised, latent, result } = await run({ init, mask });
    expect(x).toHaveLength(4);
    for (let step = 0; step < 4; step++) {
      expectClose(x[step]!, 'inpaint.x', step);
      expectClose(denoised[step]!, 'inpaint.denoised', step);
    }
    expectClose(latent, 'inpaint.latent');

    const { rgb } = result.images[0]!.pixels;
    const changed = (value: number) =>
      rgb.filter((v, i) => mask[Math.floor(i / 3)] === value && v !== init.rgb[i]);
    expect(changed(0)).toHaveLength(0);
    expect(changed(255).length).toBeGreaterThan(0.5 * 3 * mask.filter((v) => v === 255).length);
  });
});
