// Making pictures larger over HTTP: the native route and the WebUI's.
import { copyFileSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { fox, openServer, readEvents, type TestServer } from './open-server.js';

const fixture = (name: string) => resolve(import.meta.dirname, `../fixtures/upscaler/${name}.safetensors`);
let server: TestServer;
let picture: string;
beforeAll(async () => {
  server = await openServer();
  mkdirSync(join(server.folder, 'models', 'upscalers'), { recursive: true });
  copyFileSync(fixture('x4'), join(server.folder, 'models', 'upscalers', 'four.safetensors'));
  const png = sharp({ create: { width: 20, height: 10, channels: 3, background: '#a73' } }).png();
  picture = (await png.toBuffer()).toString('base64');
});

const sizeOf = async (base64: string) => {
  const { width, height } = await sharp(Buffer.from(base64, 'base64')).metadata();
  return [width, height];
};

describe('POST /upscale', () => {
  it('answers with the larger picture and its path', async () => {
    const response = await server.post('/upscale', { image: picture, model: 'four' });
    expect(response.status).toBe(200);
    const body = await response.json();
    expect(body).toMatchObject({ ok: true, task: 'upscale', model: 'four', scale: 4, width: 80, height: 40 });
    expect(await sizeOf(body.image_base64)).toEqual([80, 40]);
    expect((await sharp(body.output_path).metadata()).width).toBe(80);
  });

  it('refuses what is missing, unknown or outside the folders', async () => {
    const answers = await Promise.all([
      server.post('/upscale', { image: picture }),
      server.post('/upscale', { image: picture, model: 'five' }),
      server.post('/upscale', { image: picture, model: fixture('x4') }),
      server.post('/upscale', { image: picture, model: 'four', scale: 0 }),
      server.post('/upscale', { image: 'AAAA', model: 'four' }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([422, 404, 403, 422, 400]);
  });

  it('follows a generation too', async () => {
    const response = await server.post('/generate', { ...fox, upscaler: 'four', return_mode: 'base64' });
    expect(response.status).toBe(200);
    const { image_base64, width, height } = await response.json();
    expect(await sizeOf(image_base64)).toEqual([256, 256]);
    expect([width, height]).toEqual([256, 256]);
    const facts = await (await server.post('/sdapi/v1/png-info', { image: image_base64 })).json();
    expect(facts.parameters).toMatchObject({ Size: '64x64', Upscaler: 'four' });
    expect((await server.post('/generate', { ...fox, upscaler: 'five' })).status).toBe(404);
  });
});

describe('an upscaling', () => {
  it('is a job like others: it continues without a client, reports its tiles, and keeps its result', async () => {
    const fields = { operation: 'upscale', image: picture, model: 'four' };
    const response = await server.post('/jobs', fields);
    expect(response.status).toBe(202);
    const job = await response.json();
    expect(job).toMatchObject({ operation: 'upscale', status: 'queued' });
    const events = await readEvents(await server.get(job.events_url));
    expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['queued', 'phase', 'step']));
    expect(events.at(-1)).toMatchObject({ event: 'done', data: { task: 'upscale', width: 80, height: 40 } });
    const later = await (await server.get(`/jobs/${job.id}`)).json();
    expect(later).toMatchObject({ status: 'done', result: { ok: true, task: 'upscale', source_width: 20 } });
    expect((await server.post('/jobs', { ...fields, model: undefined })).status).toBe(422);
    const failed = await (await server.post('/jobs', { ...fields, model: 'five' })).json();
    const last = (await readEvents(await server.get(failed.events_url))).at(-1);
    expect(last).toMatchObject({ event: 'failed', data: { code: 'NOT_FOUND' } });
  });

  it('can be cancelled midway, waits in the same queue, and is refused if that is full', async () => {
    const slow = await openServer({ behaviour: 'step=200', env: { QUEUE_LIMIT: '1' } });
    mkdirSync(join(slow.folder, 'models', 'upscalers'), { recursive: true });
    copyFileSync(fixture('x4'), join(slow.folder, 'models', 'upscalers', 'four.safetensors'));
    const large = sharp({ create: { width: 640, height: 320, channels: 3, background: '#a73' } }).png();
    const image = (await large.toBuffer()).toString('base64');
    const fields = { operation: 'upscale', image, model: 'four', tile: 64 };
    const start = async () => (await slow.post('/jobs', fields)).json();
    const running = await start();
    await readEvents(await slow.get(running.events_url), ({ event }) => event === 'step');
    const waiting = await start();
    const placed = ({ event, data }: { event: string; data: { position?: number } }) =>
      event === 'queued' && data.position === 1;
    await readEvents(await slow.get(waiting.events_url), placed);
    expect(await (await slow.get(`/jobs/${waiting.id}`)).json()).toMatchObject({
      status: 'queued',
      position: 1,
    });
    expect((await slow.post('/upscale', fields)).status).toBe(429);
    for (const { id } of [waiting, running]) {
      const ended = await (await slow.get(`/jobs/${id}`, { method: 'DELETE' })).json();
      expect(ended).toMatchObject({ status: 'cancelled', error: { code: 'ABORTED' } });
    }
  });
});

describe("the WebUI's extras", () => {
  const extra = async (body: object) =>
    (await (await server.post('/sdapi/v1/extra-single-image', { image: picture, ...body })).json()).image;

  it('lists upscalers', async () => {
    const names = (await (await server.get('/sdapi/v1/upscalers')).json()).map(
      ({ name }: { name: string }) => name,
    );
    expect(names).toEqual(['None', 'Lanczos', 'Nearest', 'four']);
  });

  it('makes a picture larger by a factor or to a size', async () => {
    expect(await sizeOf(await extra({ upscaler_1: 'four', upscaling_resize: 3 }))).toEqual([60, 30]);
    const to = { resize_mode: 1, upscaling_resize_w: 64, upscaling_resize_h: 64 };
    expect(await sizeOf(await extra({ upscaler_1: 'four', ...to }))).toEqual([64, 64]);
    expect(await sizeOf(await extra({ upscaler_1: 'four', ...to, upscaling_crop: false }))).toEqual([
      128, 64,
    ]);
    expect(await sizeOf(await extra({ upscaler_1: 'Nearest' }))).toEqual([40, 20]);
    expect(await sizeOf(await extra({}))).toEqual([20, 10]);
  });

  it('refuses an unknown upscaler in its own form', async () => {
    const response = await server.post('/sdapi/v1/extra-single-image', {
      image: picture,
      upscaler_1: 'five',
    });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: 'NOT_FOUND' });
  });
});
