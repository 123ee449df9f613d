// The public API with the real engine: runs that are awaited or iterated, pictures in and out, errors by code.
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { ImageForge, ImageForgeError, type Progress, type TextToImageOptions } from '../../src/index.js';
import { writeControlNet } from '../control-file.js';
import { testDevice } from '../device.js';
import { makeFolder } from '../folder.js';
import { testModel } from '../test-model.js';

const forge = new ImageForge({ model: testModel, device: testDevice, threads: 2 });
afterAll(() => forge.close());
const small = { prompt: 'a green tree', width: 64, height: 64, steps: 4, guidance: 3, seed: 5 };

async function collect(run: AsyncIterable<Progress>): Promise<Progress[]> {
  const seen: Progress[] = [];
  for await (const progress of run) seen.push(progress);
  return seen;
}

/** A soft gradient, twice as wide as it is high. */
const picture = Uint8Array.from({ length: 128 * 64 * 3 }, (_, i) => 40 + ((i / 3) % 128));

describe('generate', () => {
  it('yields progress, then the pictures', async () => {
    const run = forge.generate({ ...small, batch: 2, previewEvery: 4 });
    const seen = await collect(run);
    const { images, image, seconds, settings } = await run;
    expect(seen.map(({ phase }) => phase)).toEqual([
      'load',
      'encode',
      ...Array(10).fill('denoise'),
      'decode',
      'decode',
    ]);
    expect(seen.filter(({ preview }) => preview)).toHaveLength(2);
    expect(images.map(({ seed }) => seed)).toEqual([5, 6]);
    expect(image).toBe(images[0]);
    expect(seconds.denoise).toBeGreaterThan(0);
    expect(settings).toMatchObject({ steps: 4, guidance: 3, width: 64 });
    const { data, info } = await sharp(await image.toPNG())
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 64, height: 64, channels: 3 });
    expect(new Uint8Array(data)).toEqual(image.rgb);
    const file = join(mkdtempSync(join(tmpdir(), 'imageforge-library-')), 'tree.png');
    await image.save(file);
    expect(readFileSync(file)).toEqual(await image.toPNG());
    await expect(image.save('/nowhere/tree.png')).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
  });

  it('makes each picture from its own prompt, and reports it', async () => {
    const prompt = 'a {red|green|blue|yellow} {circle|square|star}';
    const { prompts, images } = await forge.generate({ ...small, prompt, steps: 1, batch: 3 });
    expect(prompts).toHaveLength(3);
    for (const one of prompts) expect(one.prompt).toMatch(/^a (red|green|blue|yellow) (circle|square|star)$/);
    expect(new Set(prompts.map((one) => one.prompt)).size).toBeGreaterThan(1);
    const third = await forge.generate({ ...small, ...prompts[2]!, steps: 1, seed: 7 });
    expect(third.image.rgb).toEqual(images[2]!.rgb);
    const plain = await forge.generate({ ...small, prompt, steps: 1, promptSyntax: 'plain' });
    expect(plain.prompts).toEqual([{ prompt, negativePrompt: '' }]);
    await expect(forge.generate({ ...small, styles: ['Chalk'] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('there is no style Chalk'),
    });
    await expect(forge.generate({ ...small, prompt: 3 as never })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('follows the picture of a ControlNet', async () => {
    const model = await writeControlNet(join(makeFolder(), 'edges.safetensors'), testModel);
    const image = { rgb: picture, width: 128, height: 64 };
    const draw = async (control?: TextToImageOptions['control']) =>
      (await forge.generate({ ...small, ...(control && { control }) })).image.rgb;
    const plain = await draw();
    expect(await draw({ model, image })).not.toEqual(plain);
    expect(await draw({ model, image, strength: 0 })).toEqual(plain);
    await expect(draw({ model, image, start: 1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(draw({ model, image: '/nowhere.png' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(draw({ model: 'nowhere', image })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('There is no ControlNet nowhere'),
    });
  });

  it('ends when its signal fires', async () => {
    const controller = new AbortController();
    const run = forge.generate({ ...small, steps: 200, signal: controller.signal });
    const collecting = (async () => {
      for await (const { phase, step } of run) if (phase === 'denoise' && step === 1) controller.abort();
    })();
    await expect(collecting).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(run).rejects.toBeInstanceOf(ImageForgeError);
  });

  it('takes seeds of 64 bits, and returns them', async () => {
    const most = 2n ** 64n - 1n;
    const { images } = await forge.generate({ ...small, steps: 1, batch: 2, seed: most - 1n });
    expect(images.map(({ seed }) => seed)).toEqual([`${most - 1n}`, `${most}`]);
    const { image } = await forge.generate({ ...small, steps: 1, seed: `${most}` });
    expect(image.seed).toBe(`${most}`);
    expect(image.rgb).toEqual(images[1]!.rgb);
    expect(image.rgb).not.toEqual(images[0]!.rgb);
    expect((await forge.generate({ ...small, steps: 1, seed: 7n })).image.seed).toBe(7);
  });

  it('uses the alpha of a mask if it varies, and says so', async () => {
    const alpha = Buffer.from(
      Array.from({ length: 64 * 64 }, (_, i) => [0, 0, 0, i % 64 < 32 ? 0 : 255]).flat(),
    );
    const mask = await sharp(alpha, { raw: { width: 64, height: 64, channels: 4 } })
      .png()
      .toBuffer();
    const grey = { rgb: new Uint8Array(64 * 64 * 3).fill(90), width: 64, height: 64 };
    const { image, notes } = await forge.inpaint({ ...small, image: grey, mask });
    expect(notes).toEqual([expect.stringContaining('The mask has transparency')]);
    expect([...image.rgb.subarray(0, 3)]).toEqual([90, 90, 90]);
    expect(image.rgb).not.toEqual(grey.rgb);
  });

  it.each([
    ['width', { width: 65 }],
    ['height', { height: 0 }],
    ['steps', { steps: 0 }],
    ['guidance', { guidance: Number.NaN }],
    ['seed', { seed: -1 }],
    ['sampler', { sampler: 'magic' }],
    ['schedule', { schedule: 'magic' }],
    ['batch', { batch: 17 }],
    ['width', { width: 56 }],
    ['seed', { seed: 2 ** 53 }],
    ['seed', { seed: 2n ** 64n - 1n, batch: 2 }],
    ['clipSkip', { clipSkip: 12 }],
  ])('refuses a bad %s by name', async (name, change) => {
    const error = await forge.generate({ ...small, ...change }).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(name) });
  });

  it('says what is wrong with a model', async () => {
    await using missing = new ImageForge({ model: '/nowhere/model.gguf' });
    await expect(missing.generate(small)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });
});

describe('edit', () => {
  it('keeps the proportions of the picture and changes it by strength', async () => {
    const image = { rgb: picture, width: 128, height: 64 };
    const { width, height, ...open } = small;
    const difference = async (strength: number) => {
      const result = await forge.edit({ ...open, image, strength });
      expect(result.image).toMatchObject({ width: 128, height: 64 });
      return result.image.rgb.reduce((sum, value, i) => sum + Math.abs(value - picture[i]!), 0);
    };
    const reconstruction = await difference(0);
    expect(await difference(1)).toBeGreaterThan(reconstruction);
  });

  it('reads files and stretches them to the requested size', async () => {
    const png = await sharp(picture, { raw: { width: 128, height: 64, channels: 3 } })
      .png()
      .toBuffer();
    const { image } = await forge.edit({ ...small, image: png });
    expect(image).toMatchObject({ width: 64, height: 64 });
  });

  it.each([
    [{ prompt: 'a'.repeat(10_001) }, /^prompt: expected at most 10000 characters, found 10001/],
    [{ negativePrompt: 'a'.repeat(10_001) }, /^negativePrompt: expected at most 10000 characters/],
    [{ styles: 'Oil' as unknown as string[] }, /^styles: expected a list of names, found "Oil"/],
  ])('refuses prompts and styles as the service does', async (options, message) => {
    await expect(forge.generate({ ...small, ...options })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
  });

  it('refuses sides that no picture may have before it decodes the picture', async () => {
    const image = { rgb: picture, width: 128, height: 64 };
    const { width, height, ...open } = small;
    for (const side of [8, 72.5, 2 ** 20])
      await expect(forge.edit({ ...open, width: side, image })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(/^width: expected a positive multiple of 8 from 64 up to 16384/),
      });
  });

  it('refuses what is not a picture', async () => {
    const notPicture = forge.edit({ ...small, image: Buffer.from('no picture') });
    await expect(notPicture).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const noFile = forge.edit({ ...small, image: '/nowhere.png' });
    await expect(noFile).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('inpaint', () => {
  it('repaints the white part and keeps every other pixel', async () => {
    const white = (i: number) => i % 128 >= 64;
    const mask = Uint8Array.from({ length: 128 * 64 * 3 }, (_, i) => (white(Math.floor(i / 3)) ? 255 : 0));
    const image = { rgb: picture, width: 128, height: 64 };
    const { width, height, ...open } = small;
    const result = await forge.inpaint({ ...open, image, mask: { ...image, rgb: mask } });
    const { rgb } = result.image;
    const changed = (side: boolean) =>
      rgb.filter((value, i) => white(Math.floor(i / 3)) === side && value !== picture[i]).length;
    expect(changed(false)).toBe(0);
    expect(changed(true)).toBeGreaterThan(64 * 64);
  });
});

describe('upscale', () => {
  const upscaler = resolve(import.meta.dirname, '../fixtures/upscaler/x4.safetensors');
  const pixels = { rgb: picture, width: 128, height: 64 };

  it('makes a picture larger, reports its tiles, and takes another scale', async () => {
    const seen: number[][] = [];
    const onProgress = (...tiles: number[]) => seen.push(tiles);
    const larger = await forge.upscale({ image: pixels, model: upscaler, tile: 96, onProgress });
    expect([larger.width, larger.height, larger.rgb.length]).toEqual([512, 256, 512 * 256 * 3]);
    expect(seen).toEqual([
      [0, 2],
      [1, 2],
      [2, 2],
    ]);
    const half = await forge.upscale({ image: pixels, model: upscaler, scale: 0.5 });
    expect([half.width, half.height]).toEqual([64, 32]);
  });

  it('never rounds a side to 0, and makes no more pixels than the service', async () => {
    const dot = await forge.upscale({ image: pixels, model: upscaler, scale: 0.001 });
    expect([dot.width, dot.height, dot.rgb.length]).toEqual([1, 1, 3]);
    const image = { rgb: new Uint8Array(1024 * 520 * 3), width: 1024, height: 520 };
    await expect(forge.upscale({ image, model: upscaler, scale: 16 })).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringMatching(/1024x520 times 16 has 137 million pixels; at most 134 million/),
    });
  });

  it('rejects with its code', async () => {
    const refused = (options: object) =>
      expect(forge.upscale({ image: pixels, model: upscaler, ...options })).rejects;
    await refused({ model: 'nowhere' }).toMatchObject({ code: 'NOT_FOUND' });
    await refused({ model: testModel.model }).toMatchObject({ code: 'UNSUPPORTED' });
    await refused({ tile: 3 }).toMatchObject({ code: 'INVALID_ARGUMENT' });
    await refused({ signal: AbortSignal.abort() }).toMatchObject({ code: 'ABORTED' });
  });

  it('follows a generation', async () => {
    const { image } = await forge.generate({ ...small, upscaler });
    expect([image.width, image.height]).toEqual([256, 256]);
  });
});
