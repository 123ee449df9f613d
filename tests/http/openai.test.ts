// OpenAI's images API with requests as its official clients send them.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { openServer, readEvents, type TestServer } from './open-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await openServer();
});

/** What the official clients add to every request. */
const headers = {
  Authorization: 'Bearer sk-anything',
  'User-Agent': 'OpenAI/JS 6.1.0',
  'X-Stainless-Lang': 'js',
};

describe('POST /v1/images/generations', () => {
  it('returns URLs that lead to the images', async () => {
    const asked = {
      model: 'dall-e-3',
      prompt: 'a red fox',
      n: 2,
      size: '64x64',
      quality: 'standard',
      steps: 2,
    };
    const response = await server.post('/v1/images/generations', asked, { headers });
    expect(response.status).toBe(200);
    const { created, data } = await response.json();
    expect(Math.abs(created - Date.now() / 1000)).toBeLessThan(60);
    expect(data).toHaveLength(2);
    for (const { url } of data) {
      expect(url.startsWith(`${server.url}/images/`)).toBe(true);
      const image = await fetch(url);
      expect(await sharp(Buffer.from(await image.arrayBuffer())).metadata()).toMatchObject({
        width: 64,
        height: 64,
      });
    }
  });

  it('returns the images themselves, in the requested format', async () => {
    for (const [fields, format] of [
      [{ response_format: 'b64_json' }, 'png'],
      [{ model: 'gpt-image-1' }, 'png'],
      [{ model: 'gpt-image-1', output_format: 'webp', output_compression: 60 }, 'webp'],
    ] as const) {
      const asked = { prompt: 'a red fox', size: '64x64', steps: 2, ...fields };
      const { data } = await (await server.post('/v1/images/generations', asked, { headers })).json();
      expect((await sharp(Buffer.from(data[0].b64_json, 'base64')).metadata()).format).toBe(format);
    }
  });

  it.each([
    [{ prompt: 'x', size: 'huge' }, 400, 'size'],
    [{ size: '64x64' }, 400, 'prompt'],
    [{ prompt: 'x', n: 99 }, 400, 'n'],
    [{ prompt: 'x', model: 'nothing' }, 404, null],
    [{ prompt: 'x', stream: true, partial_images: 4 }, 400, 'partial_images'],
    [{ prompt: 'x', stream: true, size: 'huge' }, 400, 'size'],
    [{ prompt: 'x', n: 2.5 }, 400, 'n'],
  ])('refuses %j as OpenAI does', async (asked, status, param) => {
    const response = await server.post('/v1/images/generations', asked, { headers });
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({
      error: {
        message: expect.not.stringMatching(/Invalid input|Too big/),
        type: 'invalid_request_error',
        param,
        code: expect.any(String),
      },
    });
  });
});

describe('stream: true', () => {
  const asked = { model: 'gpt-image-1', prompt: 'a red fox', size: '64x64', steps: 8, stream: true };

  it('sends partial pictures, then the finished one', async () => {
    const fields = { ...asked, partial_images: 2, output_format: 'jpeg' };
    const response = await server.post('/v1/images/generations', fields, { headers });
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const events = await readEvents(response);
    expect(events.map(({ event }) => event)).toEqual([
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ]);
    for (const { event, data } of events) {
      expect(data).toMatchObject({ type: event, size: '64x64', output_format: 'jpeg' });
      const { format } = await sharp(Buffer.from(data.b64_json, 'base64')).metadata();
      expect(format).toBe('jpeg');
    }
    expect(events.map(({ data }) => data.partial_image_index)).toEqual([0, 1, undefined]);
  });

  it('keeps the connection open while a slow picture is made', async () => {
    const slow = await openServer({ behaviour: 'step=100' });
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const response = await slow.post('/v1/images/generations', asked, { headers });
      await vi.advanceTimersByTimeAsync(10_000);
      expect(await response.text()).toMatch(/^: alive\n\n/);
    } finally {
      vi.useRealTimers();
    }
  });

  it('sends an error that clients throw', async () => {
    const fragile = await openServer({ behaviour: 'crash=3' });
    const response = await fragile.post('/v1/images/generations', asked, { headers });
    expect(response.status).toBe(200);
    const [failed, ...more] = await readEvents(response);
    expect(more).toEqual([]);
    expect(failed).toMatchObject({ event: 'error', data: { error: { type: 'server_error' } } });
  });

  it('is cancelled when its client leaves', async () => {
    const slow = await openServer({ behaviour: 'step=50' });
    const controller = new AbortController();
    const { signal } = controller;
    const fields = { ...asked, steps: 100, partial_images: 3 };
    const response = await slow.post('/v1/images/generations', fields, { headers, signal });
    await readEvents(response, () => true);
    controller.abort();
    const deadline = Date.now() + 3000;
    const running = async () => (await (await slow.get('/status')).json()).queue.running;
    while ((await running()) && Date.now() < deadline);
    expect(await running()).toBe(false);
  });
});

describe('POST /v1/images/edits', () => {
  const plain = () => sharp({ create: { width: 64, height: 64, channels: 3, background: '#3060a0' } });
  const blob = async (image: Sharp) =>
    new Blob([new Uint8Array(await image.png().toBuffer())], { type: 'image/png' });
  const send = async (fields: Record<string, string>, files: Record<string, Blob>) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    for (const [name, value] of Object.entries(files)) form.append(name, value, `${name}.png`);
    return server.get('/v1/images/edits', { method: 'POST', body: form, headers });
  };
  const asked = {
    prompt: 'a lantern',
    n: '1',
    size: '64x64',
    response_format: 'b64_json',
    steps: '4',
    seed: '5',
  };

  it('takes texts of one name for a list', async () => {
    const { folder } = server;
    mkdirSync(join(folder, 'models'), { recursive: true });
    writeFileSync(join(folder, 'models', 'styles.csv'), 'name,prompt\nInk,ink\n2024,of that year');
    const styles = { styles: 'Ink' };
    const picture = await blob(plain());
    const one = await (await send({ ...asked, ...styles }, { image: picture })).json();
    expect(one.data[0].revised_prompt).toBe('a lantern, ink');
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...asked, image: picture })) form.append(name, value);
    for (const style of ['Ink', '2024']) form.append('styles', style);
    const response = await server.get('/v1/images/edits', { method: 'POST', body: form, headers });
    expect((await response.json()).data[0].revised_prompt).toBe('a lantern, ink, of that year');
  });

  it('edits an image', async () => {
    const response = await send({ ...asked, strength: '0.4' }, { image: await blob(plain()) });
    expect(response.status).toBe(200);
    expect((await response.json()).data[0].b64_json).toEqual(expect.any(String));
  });

  it('keeps text that looks like a number', async () => {
    const fields = { ...asked, user: '12345', negative_prompt: '2024', prompt: '1999' };
    const response = await send(fields, { image: await blob(plain()) });
    expect(response.status).toBe(200);
    const refused = await send({ ...asked, steps: 'many' }, { image: await blob(plain()) });
    expect([refused.status, (await refused.json()).error.param]).toEqual([400, 'steps']);
  });

  it('repaints only the transparent part of the mask', async () => {
    // The left half is transparent.
    const hole = Buffer.from(
      Array.from({ length: 64 * 64 }, (_, i) => [0, 0, 0, i % 64 < 32 ? 0 : 255]).flat(),
    );
    const mask = sharp(hole, { raw: { width: 64, height: 64, channels: 4 } });
    const response = await send(asked, { image: await blob(plain()), mask: await blob(mask) });
    const { data } = await response.json();
    const { data: rgb } = await sharp(Buffer.from(data[0].b64_json, 'base64'))
      .raw()
      .toBuffer({ resolveWithObject: true });
    const at = (x: number) => [...rgb.subarray((32 * 64 + x) * 3, (32 * 64 + x) * 3 + 3)];
    expect(at(60)).toEqual([0x30, 0x60, 0xa0]);
    expect(at(2)).not.toEqual([0x30, 0x60, 0xa0]);
    const opaque = await send(asked, { image: await blob(plain()), mask: await blob(plain()) });
    expect([opaque.status, (await opaque.json()).error.param]).toEqual([400, 'mask']);
  });

  it('takes a list of images, and JSON with data URLs', async () => {
    const listed = await send(asked, { 'image[]': await blob(plain()) });
    expect(listed.status).toBe(200);
    const image_url = `data:image/png;base64,${(await plain().png().toBuffer()).toString('base64')}`;
    const fields = { prompt: 'x', steps: 2, response_format: 'b64_json', images: [{ image_url }] };
    const response = await server.post('/v1/images/edits', fields, { headers });
    expect(response.status).toBe(200);
    const remote = { ...fields, images: [{ image_url: 'https://example.org/x.png' }] };
    const refused = await server.post('/v1/images/edits', remote, { headers });
    expect([refused.status, (await refused.json()).error.param]).toEqual([400, 'images']);
  });

  it('says what is missing', async () => {
    const response = await send(asked, {});
    expect([response.status, (await response.json()).error.param]).toEqual([400, 'image']);
    const junk = await send(asked, { image: new Blob(['hello']) });
    expect(junk.status).toBe(400);
  });
});

describe('GET /v1/models', () => {
  it('lists the models that can be used', async () => {
    const { object, data } = await (await server.get('/v1/models', { headers })).json();
    expect(object).toBe('list');
    for (const entry of data) {
      expect(entry).toMatchObject({ object: 'model', owned_by: 'imageforge' });
      expect(await (await server.get(`/v1/models/${entry.id}`)).json()).toEqual(entry);
    }
    expect((await server.get('/v1/models/nothing')).status).toBe(404);
  });
});
