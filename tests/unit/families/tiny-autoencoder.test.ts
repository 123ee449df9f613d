// Tiny autoencoders: what a file says it is, and whether it fits a model.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { inspectFile } from '../../../src/families/inspect.js';
import {
  nameTinyAutoencoder,
  planTinyAutoencoder,
  readTinyName,
} from '../../../src/families/tiny-autoencoder.js';
import { filesOfKlein } from '../../golden-plans.js';
import { testModel } from '../../test-model.js';
import { type Shapes, tinyAutoencoderShapes, writeShapes } from '../weights/make-files.js';

const folder = mkdtempSync(join(tmpdir(), 'imageforge-tiny-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, shapes: Shapes, title?: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  return writeShapes(shapes, path, title === undefined ? undefined : { 'modelspec.title': title });
}

const renamed = (shapes: Shapes, to: (name: string) => string | undefined): Shapes =>
  Object.fromEntries(
    Object.entries(shapes).flatMap(([name, shape]) => {
      const found = to(name);
      return found === undefined ? [] : [[found, shape]];
    }),
  );
/** taesd_decoder.safetensors: the decoder alone, whose names begin with layer numbers. */
const decoderAlone = (shapes: Shapes) =>
  renamed(shapes, (name) => (name.startsWith('decoder.') ? name.slice('decoder.'.length) : undefined));
const diffusers = (shapes: Shapes) =>
  renamed(shapes, (name) => {
    const [, half, place, rest] = /^(encoder|decoder)\.(\d+)\.(.+)$/.exec(name)!;
    return `${half}.layers.${Number(place) - (half === 'decoder' ? 1 : 0)}.${rest}`;
  });

const four = tinyAutoencoderShapes(4);
const plan = await planModel(testModel);

describe('inspect', () => {
  it.each([
    [
      'taesd.safetensors',
      four,
      'tiny autoencoder for latents of 4 channels (taesd by its name, for Stable Diffusion 1.x and Stable Diffusion 2.x)',
    ],
    [
      'taesdxl_decoder.safetensors',
      decoderAlone(four),
      'tiny autoencoder for latents of 4 channels (taesdxl by its name, for Stable Diffusion XL), the decoder alone',
    ],
    [
      'taef1/diffusion_pytorch_model.safetensors',
      diffusers(tinyAutoencoderShapes(16)),
      'tiny autoencoder for latents of 16 channels (taef1 by its name, for FLUX.1)',
    ],
    [
      'small.safetensors',
      tinyAutoencoderShapes(32),
      'tiny autoencoder for latents of 32 channels (of an unknown family)',
    ],
  ])('says what %s is', async (name, shapes, summary) => {
    const found = await inspectFile(write(name, shapes));
    expect(found).toMatchObject({ summary, networks: [{ kind: 'tiny_autoencoder' }] });
  });

  it('does not take the encoder half for a decoder', async () => {
    const encoder = renamed(four, (name) => /^encoder\.(.+)$/.exec(name)?.[1]);
    const path = write('taesd_encoder.safetensors', encoder);
    expect((await inspectFile(path)).networks).toEqual([]);
    await expect(planTinyAutoencoder(path, plan)).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
      message: `${path} has no network that is known; a tiny autoencoder with its decoder was expected`,
      hint: expect.stringContaining('madebyollin/taesd'),
    });
  });
});

describe('a plan', () => {
  it('is the same for every layout', async () => {
    const whole = await planTinyAutoencoder(write('taesd.safetensors', four), plan);
    expect(whole).toMatchObject({
      kind: 'tiny_autoencoder',
      config: { width: 8, latentChannels: 4, pooled: false },
      called: 'taesd',
    });
    const names = (tensors: { name: string }[]) => tensors.map(({ name }) => name).sort();
    const half = names(whole.weights.tensors).filter((name) => name.startsWith('decoder.'));
    const alone = await planTinyAutoencoder(write('taesd_decoder.safetensors', decoderAlone(four)), plan);
    expect(names(alone.weights.tensors)).toEqual(half);
    const other = await planTinyAutoencoder(write('taesd/d.safetensors', diffusers(four)), plan);
    expect(names(other.weights.tensors)).toEqual(names(whole.weights.tensors));
    expect(other.called).toBe('taesd');
  });

  it.each([16, 32])('refuses latents of %d channels for a model of 4', async (channels) => {
    const path = write('wrong.safetensors', tinyAutoencoderShapes(channels));
    await expect(planTinyAutoencoder(path, plan)).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
      message: `${path}: decoder.1.weight takes ${channels} channels, but Stable Diffusion 1.x has latents of 4: this autoencoder belongs to another family`,
      details: { file: path, tensor: 'decoder.1.weight' },
    });
  });

  it('refuses a large autoencoder, and other files', async () => {
    await expect(planTinyAutoencoder(testModel.model, plan)).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
      message: expect.stringContaining('an autoencoder'),
    });
  });

  it('trusts metadata over the name', async () => {
    const path = write('taesd.safetensors', four, 'TAESDXL');
    expect((await planTinyAutoencoder(path, plan)).called).toBe('taesdxl');
  });

  it('of FLUX.2 takes the statistics of the large one', async () => {
    const files = filesOfKlein();
    const klein = await planModel(files);
    const channels = (klein.autoencoder.config as { latentChannels: number }).latentChannels;
    const path = write('taef2.safetensors', tinyAutoencoderShapes(channels));
    const { weights, config } = await planTinyAutoencoder(path, klein);
    expect(config).toMatchObject({ latentChannels: channels, patchify: true });
    const mean = weights.tensors.find(({ name }) => name === 'bn.running_mean')!;
    expect(weights.files[mean.file]).toBe(files.vae);
    expect(mean.shape).toEqual([channels * 4]);
    expect(weights.files[weights.tensors.find(({ name }) => name === 'decoder.1.weight')!.file]).toBe(path);
  });
});

it('belongs to models with the published autoencoder alone', () => {
  const published = { ...plan.autoencoder.config, channels: [128, 256, 512, 512] };
  const autoencoder = { ...plan.autoencoder, config: published };
  expect(nameTinyAutoencoder({ ...plan, autoencoder })).toBe('taesd');
  expect(nameTinyAutoencoder({ ...plan, autoencoder, family: 'sdxl' })).toBe('taesdxl');
  expect(nameTinyAutoencoder(plan)).toBeUndefined();
});

it.each([
  ['taesd_decoder.safetensors', 'taesd'],
  ['TAESDXL.gguf', 'taesdxl'],
  ['models--madebyollin--taef1', 'taef1'],
  ['taesd3_decoder', 'taesd3'],
  ['my-taef2-fp16', 'taef2'],
  ['metaesd', undefined],
  ['ae.safetensors', undefined],
])('%s names %s', (text, name) => {
  expect(readTinyName(text)).toBe(name);
});
