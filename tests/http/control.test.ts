// ControlNets over HTTP: the native fields, the names and paths that clients may use, and the WebUI's script.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeControlNet } from '../control-file.js';
import { testModel } from '../test-model.js';
import { fox, openServer, type TestServer } from './open-server.js';

let server: TestServer;
let outside: string;
const draw = async (background: string) =>
  (
    await sharp({ create: { width: 20, height: 10, channels: 3, background } })
      .png()
      .toBuffer()
  ).toString('base64');
let picture: string;
let other: string;
beforeAll(async () => {
  server = await openServer();
  const own = join(server.folder, 'models', 'controlnet');
  mkdirSync(own, { recursive: true });
  await writeControlNet(join(own, 'canny.safetensors'), testModel);
  outside = await writeControlNet(join(server.folder, 'outside.safetensors'), testModel);
  [picture, other] = [await draw('#a73'), await draw('#123')];
});

const make = async (change: object) => {
  const response = await server.post('/generate', { ...fox, return_mode: 'base64', ...change });
  expect(response.status).toBe(200);
  return (await response.json()).image_base64 as string;
};
const control = () => ({ control: 'canny', control_image: picture });

describe('POST /generate', () => {
  it('steers with a ControlNet by name, and caches different settings separately', async () => {
    const pixels = async (change: object) =>
      (
        await sharp(Buffer.from(await make(change), 'base64'))
          .raw()
          .toBuffer()
      ).toString('base64');
    const plain = await pixels({});
    const steered = await pixels(control());
    expect(steered).not.toBe(plain);
    expect(await pixels({ ...control(), control_image: other })).not.toBe(steered);
    expect(await pixels({ ...control(), control_strength: 0.5 })).not.toBe(steered);
    expect(await pixels({ ...control(), control_end: 0.5 })).not.toBe(steered);
    expect(await pixels({ ...control(), control_strength: 0 })).toBe(plain);
    const again = await server.post('/generate', { ...fox, ...control() });
    expect((await again.json()).cached).toBe(true);
    expect(await pixels(control())).toBe(steered);
  });

  it('refuses what is missing, unknown, out of bounds or outside the folders', async () => {
    const answers = await Promise.all(
      [
        { control: 'canny' },
        { control_image: picture },
        { ...control(), control: 'depth' },
        { ...control(), control: outside },
        { ...control(), control_strength: 3 },
        { ...control(), control_start: 0.5, control_end: 0.5 },
        { ...control(), control_image: 'AAAA' },
        { control: 'canny', control_image_path: '/etc/hostname' },
      ].map((change) => server.post('/generate', { ...fox, ...change })),
    );
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 404, 403, 422, 400, 400, 403]);
  });
});

describe("the WebUI's controlnet script", () => {
  const txt2img = (unit: object) =>
    server.post('/sdapi/v1/txt2img', {
      prompt: 'a red fox',
      width: 64,
      height: 64,
      steps: 4,
      seed: 42,
      alwayson_scripts: { controlnet: { args: [unit] } },
    });

  it('is a ControlNet with a finished map', async () => {
    const unit = {
      image: picture,
      module: 'none',
      model: 'canny [d14c016b]',
      weight: 0.7,
      guidance_end: 0.9,
    };
    const response = await txt2img(unit);
    expect(response.status).toBe(200);
    const { images, info } = await response.json();
    expect(JSON.parse(info).infotexts[0]).toContain(
      'ControlNet 0: "Module: none, Model: canny, Weight: 0.7, Guidance Start: 0, Guidance End: 0.9"',
    );
    const older = { input_image: other, model: 'canny', weight: 0.7, guidance_end: 0.9 };
    expect((await (await txt2img(older)).json()).images).not.toEqual(images);
    const off = await (await txt2img({ ...unit, enabled: false })).json();
    expect(JSON.parse(off.info).infotexts[0]).not.toContain('ControlNet');
  });

  it('says what it takes', async () => {
    for (const [unit, words] of [
      [{ image: picture, model: 'canny', module: 'canny' }, /module: expected none, found canny/],
      [{ image: picture, model: 'None' }, /model: expected the name of a ControlNet, found None/],
      [{ model: 'canny' }, /image: expected a picture in base64/],
    ] as const) {
      const response = await txt2img(unit);
      expect(response.status).toBe(400);
      expect(JSON.stringify(await response.json())).toMatch(words);
    }
  });

  it('has a list of names', async () => {
    expect(await (await server.get('/controlnet/model_list')).json()).toEqual({ model_list: ['canny'] });
  });
});
