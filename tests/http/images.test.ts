// POST /generate, /edit, /inpaint over a socket: the fields, types and defaults that clients of the replaced program know.
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseParameters } from '../../src/service/pictures/parameters.js';
import { readPngText } from '../../src/service/pictures/png-text.js';
import { fox, openServer, type TestServer } from './open-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await openServer();
});

const picture = async (width = 64, height = 64, channel = 200) =>
  sharp({ create: { width, height, channels: 3, background: { r: channel, g: 40, b: 90 } } })
    .png()
    .toBuffer();

describe('POST /generate', () => {
  it('answers with the documented fields', async () => {
    const response = await server.post('/generate', { ...fox, return_mode: 'both' });
    expect(response.status).toBe(200);
    const body = await response.json();
    expect(body).toMatchObject({
      ok: true,
      task: 'text2img',
      model: expect.any(String),
      seed: 42,
      steps: 4,
      guidance: expect.any(Number),
      width: 64,
      height: 64,
      elapsed_s: expect.any(Number),
      prompt: 'a red fox',
      assisted: false,
      cached: false,
      output_path: expect.stringMatching(/outputs\/image_\d{8}_\d{6}_42\.png$/),
      image_base64: expect.any(String),
      mime: 'image/png',
    });
    const png = Buffer.from(body.image_base64, 'base64');
    expect(readFileSync(body.output_path)).toEqual(png);
    expect(await sharp(png).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });
    expect(parseParameters(readPngText(png).parameters!)).toMatchObject({ Prompt: 'a red fox', Seed: '42' });
    const sidecar = JSON.parse(readFileSync(body.output_path.replace(/png$/, 'json'), 'utf8'));
    expect(sidecar).toMatchObject({
      prompt: 'a red fox',
      seed: 42,
      task: 'text2img',
      guidance_scale: body.guidance,
    });
  });

  it('returns the stored image of the same seeded request', async () => {
    const request = { ...fox, seed: 7 };
    const first = await (await server.post('/generate', request)).json();
    const again = await (await server.post('/generate', request)).json();
    const fresh = await (await server.post('/generate', { ...request, use_cache: false })).json();
    expect([first.cached, again.cached, fresh.cached]).toEqual([false, true, false]);
    const pixels = async ({ image_base64 }: { image_base64: string }) =>
      sharp(Buffer.from(image_base64, 'base64')).raw().toBuffer();
    expect(await pixels(again)).toEqual(await pixels(first));
    expect(await pixels(fresh)).toEqual(await pixels(first));
  });

  it.each([
    ['base64', { image_base64: expect.any(String), output_path: null }],
    ['path', { image_base64: null, output_path: expect.any(String) }],
  ])('return_mode %s', async (return_mode, expected) => {
    const body = await (await server.post('/generate', { ...fox, return_mode })).json();
    expect(body).toMatchObject(expected);
    expect(body.images[0].output_path).toEqual(expected.output_path);
  });

  it('passes the prompt through when Ollama is not available, and says so', async () => {
    const response = await server.post('/generate', { ...fox, assist_prompt: true });
    expect(response.status).toBe(200);
    const body = await response.json();
    expect(body).toMatchObject({ prompt: 'a red fox', assisted: false });
    expect(body.notes.join()).toMatch(/not expanded/);
  });

  it('takes null for "not given", and both spellings of a field', async () => {
    const response = await server.post('/generate', {
      ...fox,
      negative_prompt: null,
      model: null,
      guidance: null,
      guidance_scale: 3,
    });
    expect(await response.json()).toMatchObject({ ok: true, guidance: 3, guidance_scale: 3 });
  });
});

describe('refusals', () => {
  it.each([
    [{}, ['body', 'prompt'], 'missing'],
    [{ ...fox, width: 65 }, ['body', 'width'], 'value_error'],
    [{ ...fox, steps: 'many' }, ['body', 'steps'], 'value_error'],
    [{ ...fox, width: 100_000 }, ['body', 'width'], 'value_error'],
    [{ ...fox, return_mode: 'fax' }, ['body', 'return_mode'], 'value_error'],
  ])('%j is a 422 that names the field', async (request, loc, type) => {
    const response = await server.post('/generate', request);
    expect(response.status).toBe(422);
    const body = await response.json();
    expect(body.detail).toEqual([{ type, loc, msg: expect.any(String) }]);
    expect(body).toMatchObject({
      ok: false,
      error: { code: 'INVALID_ARGUMENT', message: expect.any(String) },
    });
  });

  it('a body that is not JSON is a 422 too', async () => {
    const response = await server.get('/generate', { method: 'POST', body: 'prompt=fox' });
    expect(response.status).toBe(422);
    expect((await response.json()).detail[0].loc).toEqual(['body']);
  });

  it.each([
    [{ ...fox, model: 'nothing' }, 404, 'MODEL_NOT_FOUND'],
    [{ ...fox, model: 'flux-q4' }, 403, 'MODEL_GUARDED'],
    [{ ...fox, model: 'sd-turbo' }, 422, 'MODEL_INCOMPLETE'],
    [{ ...fox, sampler: 'magic' }, 400, 'INVALID_ARGUMENT'],
    [{ ...fox, model: '/etc/passwd' }, 403, 'FORBIDDEN'],
  ])('%j', async (request, status, code) => {
    const response = await server.post('/generate', request);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ detail: expect.any(String), error: { code } });
  });

  it('unknown paths and methods answer as FastAPI does', async () => {
    expect(await (await server.get('/nowhere')).json()).toMatchObject({ detail: 'Not Found' });
    const wrong = await server.get('/generate');
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
    expect(await wrong.json()).toMatchObject({
      detail: 'Method Not Allowed',
      error: { code: 'INVALID_ARGUMENT', hint: 'Use POST.' },
    });
  });
});

describe('POST /edit and /inpaint', () => {
  it('edits a picture given as base64, a data URL, or a path in the output folder', async () => {
    const png = await picture();
    const asked = { prompt: 'winter', steps: 4, seed: 1 };
    const base64 = png.toString('base64');
    const first = await (await server.post('/edit', { ...asked, init_image: base64 })).json();
    expect(first).toMatchObject({ ok: true, task: 'img2img', width: 64, height: 64 });
    const url = { ...asked, init_image: `data:image/png;base64,${base64}` };
    expect(await (await server.post('/edit', url)).json()).toMatchObject({ cached: true });
    const byPath = await server.post('/edit', {
      ...asked,
      init_image_path: first.output_path,
      strength: 0.65,
    });
    expect(await byPath.json()).toMatchObject({ ok: true, task: 'img2img' });
    const relative = first.output_path.slice(server.folder.length + 1);
    expect((await server.post('/edit', { ...asked, image_path: relative })).status).toBe(200);
  });

  it('repaints inside the mask only', async () => {
    const init_image = (await picture()).toString('base64');
    const mask_image = (await picture(64, 64, 255)).toString('base64');
    const response = await server.post('/inpaint', { prompt: 'a lantern', steps: 4, init_image, mask_image });
    expect(await response.json()).toMatchObject({ ok: true, task: 'inpaint' });
  });

  it('says which picture is missing or unreadable', async () => {
    const missing = await server.post('/edit', { prompt: 'winter' });
    expect(missing.status).toBe(400);
    expect((await missing.json()).detail).toMatch(/init_image/);
    const junk = await server.post('/edit', { prompt: 'winter', init_image: 'aGVsbG8=' });
    expect(junk.status).toBe(400);
    expect((await junk.json()).error.hint).toMatch(/PNG/);
  });

  it('does not follow a link out of the allowed folders', async () => {
    const outputs = join(server.folder, 'outputs');
    await mkdir(outputs, { recursive: true });
    await writeFile(join(server.folder, 'secret.png'), await picture());
    await symlink(join(server.folder, 'secret.png'), join(outputs, 'link.png'));
    for (const init_image_path of [
      '/etc/passwd',
      'outputs/../secret.png',
      'outputs/link.png',
      '/no/such.png',
    ]) {
      const response = await server.post('/edit', { prompt: 'x', init_image_path });
      expect([response.status, init_image_path]).toEqual([403, init_image_path]);
    }
  });
});

describe('GET /images/:file', () => {
  it('serves files of the output folder and nothing else', async () => {
    const made = await (await server.post('/generate', fox)).json();
    const name = made.output_path.split('/').at(-1);
    const response = await server.get(`/images/${name}`);
    expect(response.headers.get('content-type')).toBe('image/png');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(readFileSync(made.output_path));
    for (const path of ['..%2Fsecret.png', '%2e%2e%2fsecret.png', name.replace('png', 'json'), 'none.png']) {
      expect((await server.get(`/images/${path}`)).status).toBe(404);
    }
    expect((await server.get('/images/link.png')).status).toBe(403);
  });
});

describe('a client that leaves', () => {
  it('cancels its job, and leaves nothing behind', async () => {
    const slow = await openServer({ behaviour: 'step=2000' });
    const controller = new AbortController();
    const answer = slow.post('/generate', fox, { signal: controller.signal }).catch((error) => error.name);
    while (slow.jobs.active()[0]?.progress?.phase !== 'denoise') await sleep(10);
    const [job] = slow.jobs.active();
    controller.abort();
    expect(await answer).toBe('AbortError');
    const started = performance.now();
    await job!.ended;
    expect(performance.now() - started).toBeLessThan(1500);
    expect(job!.state).toBe('cancelled');
    expect(existsSync(join(slow.folder, 'outputs')) && job!.result).toBeFalsy();
    expect(slow.jobs.countActive()).toBe(0);
  });
});
