// Jobs over HTTP: events as they happen, kept results, cancelling within a step, and a bounded queue.
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { fox, openServer, readEvents, type TestServer } from './open-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await openServer({ behaviour: 'step=20' });
});

const start = async (fields: object = {}) => (await server.post('/jobs', { ...fox, ...fields })).json();

describe('a job', () => {
  it('answers at once, reports events, and keeps its result', async () => {
    const response = await server.post('/jobs', { ...fox, seed: 11, batch: 2 });
    expect(response.status).toBe(202);
    const job = await response.json();
    expect(response.headers.get('location')).toBe(`/jobs/${job.id}`);
    expect(job).toMatchObject({ status: 'queued', operation: 'generate', result: null, error: null });

    const stream = await server.get(job.events_url);
    expect(stream.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const events = await readEvents(stream);
    expect(events.map(({ id }) => id)).toEqual(events.map(({ id }) => id).sort((a, b) => a - b));
    expect(events[0]!.event).toBe('queued');
    const phases = events
      .filter(({ event }) => event === 'phase')
      .map(({ data }) => `${data.phase} ${data.image}`);
    expect(phases).toEqual(
      expect.arrayContaining(['load 0', 'encode 0', 'denoise 0', 'denoise 1', 'decode 1']),
    );
    const steps = events
      .filter(({ event }) => event === 'step')
      .map(({ data }) => `${data.image}:${data.step}/${data.steps}`);
    expect(steps).toEqual(['0:1/4', '0:2/4', '0:3/4', '0:4/4', '1:1/4', '1:2/4', '1:3/4', '1:4/4']);
    const previews = events.filter(({ event }) => event === 'preview');
    expect(previews.length).toBeGreaterThan(0);
    const preview = Buffer.from(previews.at(-1)!.data.image_base64, 'base64');
    expect((await sharp(preview).metadata()).format).toBe('jpeg');
    const last = events.at(-1)!;
    expect(last.event).toBe('done');
    expect(last.data).toMatchObject({ ok: true, seed: 11, images: [{ seed: 11 }, { seed: 12 }] });

    const later = await (await server.get(`/jobs/${job.id}`)).json();
    expect(later).toMatchObject({ status: 'done', result: { output_path: last.data.output_path } });
    const again = await readEvents(
      await server.get(job.events_url, { headers: { 'Last-Event-ID': String(last.id - 1) } }),
    );
    expect(again.map(({ event }) => event)).toEqual(['done']);
  });

  it('continues when its client leaves', async () => {
    const job = await start({ seed: 12, steps: 8 });
    const controller = new AbortController();
    const stream = await server.get(job.events_url, { signal: controller.signal });
    await readEvents(stream, ({ event }) => event === 'step');
    controller.abort();
    const events = await readEvents(await server.get(job.events_url));
    expect(events.at(-1)!.event).toBe('done');
  });

  it('is cancelled within a step, and the next one runs', async () => {
    const job = await start({ seed: 13, steps: 200 });
    await readEvents(await server.get(job.events_url), ({ event }) => event === 'step');
    const watching = server.get(job.events_url).then((stream) => readEvents(stream));
    const begun = performance.now();
    const response = await server.get(`/jobs/${job.id}`, { method: 'DELETE' });
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(await response.json()).toMatchObject({ status: 'cancelled', error: { code: 'ABORTED' } });
    expect((await watching).at(-1)).toMatchObject({ event: 'failed', data: { code: 'ABORTED' } });
    expect((await server.post('/generate', fox)).status).toBe(200);
  });

  it('chooses the operation from its pictures, or as told', async () => {
    const wrong = await server.post('/jobs', { ...fox, operation: 'paint' });
    expect(wrong.status).toBe(422);
    expect((await wrong.json()).detail[0].loc).toEqual(['body', 'operation']);
    const init_image = (
      await sharp({ create: { width: 64, height: 64, channels: 3, background: '#a03040' } })
        .png()
        .toBuffer()
    ).toString('base64');
    expect(await start({ init_image })).toMatchObject({ operation: 'edit' });
    expect(await start({ init_image, mask_image: init_image })).toMatchObject({ operation: 'inpaint' });
  });

  it('with an unknown id is a 404', async () => {
    for (const path of ['/jobs/x', '/jobs/x/events']) expect((await server.get(path)).status).toBe(404);
  });
});

describe('a full queue', () => {
  it('answers 429 with Retry-After, and stays quick', async () => {
    const small = await openServer({ behaviour: 'step=30', env: { QUEUE_LIMIT: '3' } });
    const answers = await Promise.all(
      Array.from({ length: 12 }, async (_, seed) => {
        const response = await small.post('/generate', { ...fox, seed, use_cache: false });
        return {
          status: response.status,
          retry: response.headers.get('retry-after'),
          body: await response.json(),
        };
      }),
    );
    const served = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    expect([served.length, refused.length]).toEqual([4, 8]);
    for (const { retry, body } of refused) {
      expect(Number(retry)).toBeGreaterThanOrEqual(1);
      expect(body.error.code).toBe('QUEUE_FULL');
    }
  });
});

describe('an engine that dies', () => {
  it('fails its job with a reason, and the next job is served', async () => {
    const fragile = await openServer({ behaviour: 'crash=3' });
    const failed = await fragile.post('/generate', { ...fox, steps: 4, guidance: 1 });
    expect(failed.status).toBe(500);
    expect((await failed.json()).error).toMatchObject({ code: 'ENGINE_CRASHED', hint: expect.any(String) });
    expect((await fragile.post('/generate', { ...fox, steps: 1 })).status).toBe(200);
  });
});
