// The service over the real engine client, host and pipeline. Only the networks are fake.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineClient } from '../../../src/engine/client.js';
import type { Progress } from '../../../src/pipeline/types.js';
import { toResponse } from '../../../src/service/answers/results.js';
import { ImageService, type RunControls } from '../../../src/service/image-service.js';
import { parseParameters } from '../../../src/service/pictures/parameters.js';
import { readPngText } from '../../../src/service/pictures/png-text.js';
import type { ImageOperation } from '../../../src/service/request/parse.js';
import { readConfig } from '../../../src/shared/config.js';
import { testModel } from '../../test-model.js';

let folder: string;
let services: ImageService[];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'imageforge-service-'));
  services = [];
});
afterEach(async () => {
  for (const service of services) await service.close();
  rmSync(folder, { recursive: true, force: true });
});

function open({
  env = {},
  behaviour = '',
  confine = false,
}: {
  env?: Record<string, string>;
  behaviour?: string;
  confine?: boolean;
} = {}) {
  const config = readConfig({
    directory: folder,
    env: {
      IMAGEFORGE_MODEL: testModel.model,
      HF_HOME: folder,
      IMAGEFORGE_MODEL_DIR: path.join(folder, 'models'),
      ...env,
    },
  });
  const binding = new URL(`../engine/fake-addon.mjs?${behaviour}`, import.meta.url).href;
  const service = new ImageService({ config, confine, client: new EngineClient({ binding }) });
  services.push(service);
  return service;
}

const fox = { prompt: 'a red fox', width: 64, height: 64, steps: 3, seed: 42 };

function run(
  service: ImageService,
  fields: object = {},
  controls: RunControls = {},
  operation: ImageOperation = 'generate',
) {
  return service.run(service.parse(operation, { ...fox, ...fields }), controls);
}

const outputs = () => readdirSync(path.join(folder, 'outputs')).sort();

describe('ImageService.run', () => {
  it("keeps the replaced program's file names for users of its settings", async () => {
    const service = open({ env: { FLUX_DEFAULT_STEPS: '3' } });
    const result = await run(service, { steps: undefined });
    expect(path.basename(result.images[0].path!)).toMatch(/^flux_\d{8}_\d{6}_42\.png$/);
  });

  it('writes a picture with parameters and a sidecar with the fields of both programs', async () => {
    const result = await run(open(), { negative_prompt: 'blurry', guidance: 5 });
    const { path: file, sidecarPath } = result.images[0];
    expect(path.basename(file!)).toMatch(/^image_\d{8}_\d{6}_42\.png$/);
    const png = readFileSync(file!);
    expect(await sharp(png).metadata()).toMatchObject({ format: 'png', width: 64, height: 64, channels: 3 });
    expect(parseParameters(readPngText(png).parameters!)).toMatchObject({
      Prompt: 'a red fox',
      'Negative prompt': 'blurry',
      Steps: '3',
      Seed: '42',
      Size: '64x64',
      'CFG scale': '5',
    });
    expect(JSON.parse(readFileSync(sidecarPath!, 'utf8'))).toMatchObject({
      prompt: 'a red fox',
      seed: 42,
      steps: 3,
      guidance: 5,
      guidance_scale: 5,
      width: 64,
      height: 64,
      model: testModel.model,
      task: 'text2img',
      filename: path.basename(file!),
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
      saved_at_iso: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      elapsed_s: expect.any(Number),
      generation_time_seconds: expect.any(Number),
    });
  });

  it('answers with the fields of imageforge-py', async () => {
    const result = await run(open());
    const both = toResponse(result, 'both');
    expect(both).toMatchObject({
      ok: true,
      task: 'text2img',
      model: testModel.model,
      seed: 42,
      steps: 3,
      width: 64,
      height: 64,
      prompt: 'a red fox',
      assisted: false,
      cached: false,
      output_path: result.images[0].path,
      mime: 'image/png',
    });
    expect(Buffer.from(both.image_base64!, 'base64')).toEqual(readFileSync(both.output_path!));
    expect(toResponse(result, 'path').image_base64).toBeNull();
    expect(toResponse(result, 'base64').output_path).toBeNull();
  });

  it('reports every step and phase', async () => {
    const seen: Progress[] = [];
    await run(open(), { preview_every: 1 }, { onProgress: (progress) => seen.push(progress) });
    const steps = seen.filter(({ phase, step }) => phase === 'denoise' && step > 0);
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(['load', 'encode', 'denoise', 'decode']));
    expect(steps[0]!.preview!.rgb.length).toBeGreaterThan(0);
  });

  it('makes a batch with seeds counting up', async () => {
    const { images } = await run(open(), { batch: 3 });
    expect(images.map(({ seed }) => seed)).toEqual([42, 43, 44]);
    expect(new Set(images.map(({ png }) => png.toString('base64'))).size).toBe(3);
    expect(outputs()).toHaveLength(6);
  });

  it('gives a seed to a request without one', async () => {
    const service = open();
    const seeds = [];
    for (let i = 0; i < 2; i++) seeds.push((await run(service, { seed: null })).seed);
    expect(seeds[0]).not.toBe(seeds[1]);
  });

  it('saves where it is told, or not at all', async () => {
    const service = open();
    const kept = await run(service, {}, { save: { enabled: false } });
    expect(kept.images[0]).toMatchObject({ path: null, sidecarPath: null });
    const named = await run(service, {}, { save: { file: path.join(folder, 'here/fox.png') } });
    expect(named.images[0].path).toBe(path.join(folder, 'here/fox.png'));
    expect(readdirSync(path.join(folder, 'here')).sort()).toEqual(['fox.json', 'fox.png']);
    const elsewhere = await run(service, {}, { save: { folder: path.join(folder, 'other') } });
    expect(path.dirname(elsewhere.images[0].path!)).toBe(path.join(folder, 'other'));
  });
});

describe('cache', () => {
  it('returns the same pixels for the same seeded request, even after a restart', async () => {
    const first = await run(open());
    const second = await run(open());
    expect([first.cached, second.cached]).toEqual([false, true]);
    const pixels = (png: Buffer) => sharp(png).raw().toBuffer();
    expect(await pixels(second.images[0].png)).toEqual(await pixels(first.images[0].png));
    expect(second.images[0].path).not.toBe(first.images[0].path);
    expect(JSON.parse(readFileSync(second.images[0].sidecarPath!, 'utf8')).cached).toBe(true);
    expect((await run(services[0]!, { batch: 2 })).cached).toBe(false);
    expect((await run(services[0]!, { seed: 43 })).cached).toBe(true);
  });

  it('is skipped on request, and by requests that differ', async () => {
    const service = open();
    await run(service);
    for (const fields of [{ use_cache: false }, { steps: 4 }, { prompt: 'a cat' }])
      expect((await run(service, fields)).cached).toBe(false);
  });

  it('notices replaced weights, and so does the engine', async () => {
    const model = path.join(folder, 'model.safetensors');
    writeFileSync(model, readFileSync(testModel.model));
    const service = open();
    await run(service, { model });
    const pid = service.enginePid;
    utimesSync(model, new Date(), new Date(Date.now() + 60_000));
    expect((await run(service, { model })).cached).toBe(false);
    expect(service.enginePid).not.toBe(pid);
  });

  it('notices weights that were replaced after the warm-up', async () => {
    const model = path.join(folder, 'model.safetensors');
    writeFileSync(model, readFileSync(testModel.model));
    const service = open({ env: { IMAGEFORGE_MODEL: model } });
    await service.warmUp();
    const pid = service.enginePid;
    expect(pid).not.toBeNull();
    utimesSync(model, new Date(), new Date(Date.now() + 60_000));
    await run(service);
    expect(service.enginePid).not.toBe(pid);
  });

  it('keeps the engine when LoRAs come and go, and restarts it when one is replaced', async () => {
    const service = open();
    const lora = path.join(folder, 'lora.safetensors');
    writeFileSync(lora, 'the engine refuses it, which is no matter here: who is asked is');
    const begin = async (fields: Record<string, unknown>) => {
      await run(service, { ...fields, use_cache: false }).catch(() => undefined);
      return service.enginePid;
    };
    const pid = await begin({});
    expect(await begin({ loras: [{ path: lora }] })).toBe(pid);
    expect(await begin({})).toBe(pid);
    utimesSync(lora, new Date(), new Date(Date.now() + 60_000));
    expect(await begin({ loras: [{ path: lora }] })).not.toBe(pid);
  });
});

describe('edit and inpaint', () => {
  const picture = async (color: string, width = 64, height = 64) =>
    (
      await sharp({ create: { width, height, channels: 3, background: color } })
        .png()
        .toBuffer()
    ).toString('base64');

  it("takes the source's proportions and the strength", async () => {
    const service = open();
    const fields = { width: null, height: null, init_image: await picture('red', 96, 64), strength: 0.5 };
    const result = await run(service, fields, {}, 'edit');
    expect(result).toMatchObject({ task: 'img2img', width: 96, height: 64 });
    expect(result.images[0].metadata.strength).toBe(0.5);
  });

  it('inpaints', async () => {
    const fields = { init_image: await picture('red'), mask_image: await picture('white', 32, 32) };
    expect(await run(open(), fields, {}, 'inpaint')).toMatchObject({
      task: 'inpaint',
      width: 64,
      height: 64,
    });
  });

  it('lets the clients of a server read only what they may', async () => {
    const service = open({ confine: true });
    mkdirSync(path.join(folder, 'outputs'));
    const file = path.join(folder, 'outputs/a.png');
    writeFileSync(file, Buffer.from(await picture('red'), 'base64'));
    writeFileSync(path.join(folder, 'secret.png'), readFileSync(file));
    symlinkSync(path.join(folder, 'secret.png'), path.join(folder, 'outputs/link.png'));
    await expect(run(service, { image_path: 'outputs/a.png' }, {}, 'edit')).resolves.toMatchObject({
      task: 'img2img',
    });
    for (const image_path of ['secret.png', 'outputs/link.png', '/etc/passwd'])
      await expect(run(service, { image_path }, {}, 'edit')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    for (const fields of [{ model: '/etc/passwd' }, { vae: '../x' }, { loras: [{ path: '/etc/passwd' }] }])
      await expect(run(service, fields)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    // A name means a file in the LoRA folders, never one in the server's working directory.
    writeFileSync(path.join(folder, 'ink.safetensors'), '');
    for (const name of ['ink', 'ink.safetensors'])
      await expect(run(service, { prompt: `a fox <lora:${name}:0.5>` })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
    for (const name of ['/etc/passwd', '../ink', 'models/../ink.safetensors'])
      await expect(run(service, { prompt: `a fox <lora:${name}>` })).rejects.toMatchObject({
        code: 'FORBIDDEN',
      });
  });
});

describe('refusals', () => {
  it.each([
    ['an unknown model', { model: 'nothing' }, {}, 'MODEL_NOT_FOUND'],
    ['a guarded model', { model: 'flux-q4' }, {}, 'MODEL_GUARDED'],
    ['a model that is not on this disk', { model: 'flux-q4' }, { ALLOW_FLUX: '1' }, 'MODEL_INCOMPLETE'],
    ['an unknown sampler', { sampler: 'magic' }, {}, 'INVALID_ARGUMENT'],
    ['a side beyond the model', { width: 1536 }, {}, 'INVALID_ARGUMENT'],
    ['a file that is not a model', { model: 'package.json' }, {}, 'WEIGHTS_INVALID'],
  ])('of %s come before anything is loaded', async (_, fields, env, code) => {
    writeFileSync(path.join(folder, 'package.json'), '{"name": "x"}'.repeat(100));
    const service = open({ env: env as Record<string, string> });
    await expect(run(service, fields)).rejects.toMatchObject({ code });
    expect(service.enginePid).toBeNull();
  });

  it('of an output folder that cannot be written come before anything is loaded', async () => {
    writeFileSync(path.join(folder, 'outputs'), 'a file');
    const service = open();
    await expect(run(service)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
    expect(service.enginePid).toBeNull();
  });

  it('of an impossible default model come at start', () => {
    expect(() => open({ env: { IMAGEFORGE_MODEL: 'nonsense' } })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('IMAGEFORGE_MODEL=nonsense'),
      }),
    );
  });
});

describe('cancel, crash and close', () => {
  it('cancels within a step, leaves nothing, and serves the next', async () => {
    const service = open({ behaviour: 'step=200' });
    const controller = new AbortController();
    const running = run(
      service,
      { steps: 50 },
      {
        signal: controller.signal,
        onProgress: ({ phase, step }) => phase === 'denoise' && step === 1 && controller.abort(),
      },
    );
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    expect(outputs()).toEqual([]);
    await expect(run(service, { steps: 1 })).resolves.toMatchObject({ steps: 1 });
  });

  it('reports its place while it waits', async () => {
    const service = open({ behaviour: 'step=30' });
    const places: number[][] = [[], [], []];
    await Promise.all(
      places.map((seen, seed) => run(service, { seed }, { onPosition: (place) => seen.push(place) })),
    );
    expect(places.map(String).sort()).toEqual(['', '1', '2,1']);
  });

  it('says that the engine crashed, and serves the next', async () => {
    const service = open({ behaviour: 'crash=2' });
    await expect(run(service)).rejects.toMatchObject({ code: 'ENGINE_CRASHED' });
    await expect(run(service, { steps: 1 })).resolves.toMatchObject({ steps: 1 });
  });

  it('closes while one runs and one waits', async () => {
    const service = open({ behaviour: 'step=100' });
    const jobs = [1, 2].map((seed) => run(service, { steps: 100, seed }));
    const ends = Promise.allSettled(jobs);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await service.close();
    expect((await ends).map((end) => end.status === 'rejected' && end.reason.code)).toEqual([
      'CLOSED',
      'CLOSED',
    ]);
  });
});

describe('status', () => {
  it('names the loaded model as the request named it', async () => {
    const service = open();
    expect(await service.status()).toMatchObject({
      loaded: false,
      loadedModel: null,
      queue: { waiting: 0, running: false },
    });
    await run(service);
    expect(await service.status()).toMatchObject({
      loaded: true,
      loadedModel: testModel.model,
      defaultModel: testModel.model,
    });
    expect(await service.unload()).toBe(true);
    expect(await service.status()).toMatchObject({ loaded: false, loadedModel: null });
  });

  it('warms up', async () => {
    const service = open();
    await service.warmUp();
    expect(await service.status()).toMatchObject({ loaded: true, loadedModel: testModel.model });
  });
});
