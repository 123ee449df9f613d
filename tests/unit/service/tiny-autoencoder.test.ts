// Previews and finished pictures by a tiny autoencoder, through the service, with the fake addon's networks.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EngineClient } from '../../../src/engine/client.js';
import type { Progress } from '../../../src/pipeline/types.js';
import { ImageService } from '../../../src/service/image-service.js';
import { parseParameters } from '../../../src/service/pictures/parameters.js';
import { readPngText } from '../../../src/service/pictures/png-text.js';
import { readConfig } from '../../../src/shared/config.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { testModel } from '../../test-model.js';
import { type Shapes, tinyAutoencoderShapes, writeShapes } from '../weights/make-files.js';

let folder: string;
let services: ImageService[];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'imageforge-tiny-'));
  services = [];
});
afterEach(async () => {
  for (const service of services) await service.close();
  rmSync(folder, { recursive: true });
});

const at = (...parts: string[]) => path.join(folder, ...parts);
function put(file: string, channels = 4): string {
  mkdirSync(path.dirname(at(file)), { recursive: true });
  return writeShapes(tinyAutoencoderShapes(channels), at(file));
}

function open(model = testModel.model, confine = false): ImageService {
  const env = { IMAGEFORGE_MODEL: model, IMAGEFORGE_MODEL_DIR: at('models'), HF_HOME: folder };
  const client = new EngineClient({ binding: new URL('../engine/fake-addon.mjs', import.meta.url).href });
  const service = new ImageService({ config: readConfig({ directory: folder, env }), confine, client });
  services.push(service);
  return service;
}

async function run(service: ImageService, fields: object) {
  const previews: Progress['preview'][] = [];
  const request = { prompt: 'a fox', width: 64, height: 64, steps: 2, seed: 1, ...fields };
  const result = await service.run(service.parse('generate', request), {
    onProgress: ({ phase, step, preview }) => phase === 'denoise' && step > 0 && previews.push(preview),
  });
  return { result, previews };
}

/** The names and shapes of the test model, except that the autoencoder's are those of Stable Diffusion's published one. */
async function writePublished(): Promise<string> {
  const { tensors } = await readWeightFile(testModel.model);
  const shapes: Shapes = Object.fromEntries([...tensors.values()].map(({ name, shape }) => [name, shape]));
  for (const [level, width] of [128, 256, 512, 512].entries())
    shapes[`first_stage_model.decoder.up.${level}.block.0.conv2.weight`] = [width, width, 3, 3];
  return writeShapes(shapes, at('sd.safetensors'));
}

// The fake addon's tiny autoencoder draws darker than its large one: means of 90 and 128.
const mean = (bytes: Uint8Array) => bytes.reduce((sum, value) => sum + value, 0) / bytes.length;
const tinyMean = (value: number) => expect(Math.abs(value - 90)).toBeLessThan(20);

it('draws previews with the named one, and the picture with the large one', async () => {
  const tae = put('taesd.safetensors');
  const service = open();
  const plain = await run(service, { preview_every: 1, use_cache: false });
  const { result, previews } = await run(service, { preview_every: 1, tae, use_cache: false });
  expect(plain.previews.map((preview) => preview?.width)).toEqual([32, 32]);
  expect(previews.map((preview) => preview?.width)).toEqual([64, 64]);
  for (const preview of previews) tinyMean(mean(preview!.rgb));
  expect(result.images[0].png).toEqual(plain.result.images[0].png);
  expect(result.images[0].metadata.tae).toBeNull();
});

it('draws the finished picture too if asked, and says so', async () => {
  const tae = put('taesd.safetensors');
  const service = open();
  const large = await run(service, {});
  const { result } = await run(service, { tae, fast_decode: true });
  expect(result.cached).toBe(false);
  tinyMean(mean(await sharp(result.images[0].png).removeAlpha().raw().toBuffer()));
  const sidecar = JSON.parse(readFileSync(result.images[0].sidecarPath!, 'utf8'));
  expect(sidecar.tae).toBe('taesd');
  expect(parseParameters(readPngText(result.images[0].png).parameters!)).toMatchObject({
    'VAE Decoder': 'TAESD',
  });
  expect((await run(service, { tae, fast_decode: true })).result.cached).toBe(true);
  const again = await run(service, { tae });
  expect(again.result.cached).toBe(true);
  const pixels = (png: Buffer) => sharp(png).raw().toBuffer();
  expect(await pixels(again.result.images[0].png)).toEqual(await pixels(large.result.images[0].png));
});

it('finds the model’s own in the folder', async () => {
  put('models/vae_approx/taesd_decoder.safetensors');
  const service = open(await writePublished());
  const { previews } = await run(service, { preview_every: 1 });
  expect(previews.map((preview) => preview?.width)).toEqual([64, 64]);
  const { result } = await run(service, { fast_decode: true });
  expect(result.images[0].metadata.tae).toBe('taesd_decoder');
});

it('refuses one of another family, and fast decoding without one', async () => {
  const service = open();
  await expect(run(service, { tae: put('taef1.safetensors', 16) })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining('belongs to another family'),
  });
  await expect(run(service, { fast_decode: true })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('lets clients name only files in the model folder', async () => {
  const inside = put('models/vae_approx/taesd.safetensors');
  const outside = put('elsewhere/taesd.safetensors');
  const service = open(testModel.model, true);
  for (const tae of ['taesd', inside]) expect((await run(service, { tae })).result.images).toHaveLength(1);
  await expect(run(service, { tae: outside })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(run(service, { tae: 'none' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
