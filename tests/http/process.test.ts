// The server as a separate process: under load, ended by signals, and after its engine was killed.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { testModel } from '../test-model.js';
import { fox, readEvents } from './open-server.js';

const open: { child: ChildProcess; folder: string }[] = [];
afterEach(() => {
  for (const { child, folder } of open.splice(0)) {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

interface StartOptions {
  env?: Record<string, string>;
  /** Default: a new folder. */
  folder?: string;
}

async function start(behaviour: string, { env = {}, folder = makeFolder() }: StartOptions = {}) {
  const script = join(import.meta.dirname, 'fake-server.mjs');
  const child = spawn(process.execPath, [script, folder, testModel.model, behaviour], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  open.push({ child, folder });
  let logged = '';
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    logged += text;
  });
  const url = await new Promise<string>((found) =>
    child.stdout!.once('data', (data) => found(String(data).trim())),
  );
  const exited = new Promise<number | null>((ended) => child.once('exit', (code) => ended(code)));
  const post = (path: string, body: object) =>
    fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
  const status = async () => (await fetch(`${url}/status`)).json();
  return { child, url, folder, exited, post, status, readLog: () => logged };
}

function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'imageforge-process-'));
}

/** The unfinished jobs that the servers of a folder have saved. */
function listJobFiles(folder: string): string[] {
  const files = readdirSync(join(folder, 'cache', 'jobs'), { recursive: true, encoding: 'utf8' });
  return files.filter((name) => name.endsWith('.json'));
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('under load', () => {
  it('serves 200 clients at once; health answers meanwhile', async () => {
    const { url } = await start('step=0');
    const script = resolve(import.meta.dirname, '../../scripts/bench/load.mjs');
    const load = promisify(execFile)(process.execPath, [script, '--url', url, '--clients', '200', '--json']);
    const { answered, statuses, seconds, healthMs, healthFailed } = JSON.parse((await load).stdout);
    expect({ answered, statuses, healthFailed }).toEqual({
      answered: 200,
      statuses: { 200: 200 },
      healthFailed: 0,
    });
    expect(healthMs.count).toBeGreaterThan(0);
    // A busy machine measures its own load, so the figures are printed and the limit is generous.
    const { median, p95, worst } = healthMs;
    console.info(
      `200 clients in ${seconds.toFixed(1)} s; health: ` +
        `median ${median.toFixed(0)} ms, 95% ${p95.toFixed(0)} ms, worst ${worst.toFixed(0)} ms`,
    );
    expect(median).toBeLessThan(2000);
  });
});

describe('WARMUP=1', () => {
  it('loads the default model before anybody asks', async () => {
    const { post, status } = await start('step=0', { env: { WARMUP: '1' } });
    while (!(await status()).loaded) await sleep(20);
    const { model, default_model, engine_pid, last_access } = await status();
    expect(model).toBe(default_model);
    expect(last_access).not.toBe(null);
    expect((await post('/generate', fox)).status).toBe(200);
    expect((await status()).engine_pid).toBe(engine_pid);
  });
});

describe('the API key', () => {
  it('never appears in a log', async () => {
    const key = 'correct-horse-battery-staple';
    const wrong = 'hunter2-hunter2-hunter2';
    const { url, exited, child, readLog } = await start('crash=9', {
      env: { API_KEY: key, LOG_LEVEL: 'debug' },
    });
    const ask = (path: string, headers: Record<string, string>, body?: string) =>
      fetch(`${url}${path}`, { headers, ...(body !== undefined && { method: 'POST', body }) });
    const bearer = { Authorization: `Bearer ${key}` };
    const status = async (...asked: Parameters<typeof ask>) => (await ask(...asked)).status;
    expect(await status('/status', {})).toBe(401);
    expect(await status('/status', { Authorization: `Bearer ${wrong}` })).toBe(401);
    expect(await status('/status', { 'X-API-Key': wrong })).toBe(401);
    expect(await status('/status', bearer)).toBe(200);
    expect(await status('/nowhere', bearer)).toBe(404);
    expect(await status('/generate', { 'X-API-Key': key }, 'no JSON')).toBe(422);
    expect(await status('/generate', bearer, JSON.stringify({ ...fox, steps: 1 }))).toBe(200);
    expect(await status('/mcp', bearer, '{"jsonrpc": "2.0"')).toBe(406);
    expect(await status('/generate', bearer, JSON.stringify({ ...fox, steps: 20 }))).toBe(500);
    expect(await status('/docs', {})).toBe(200);
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
    const log = readLog();
    for (const line of ['generation done', 'request failed', 'ENGINE_CRASHED', '"status":401', 'ending'])
      expect(log).toContain(line);
    for (const secret of [key, wrong]) expect(log).not.toContain(secret);
  });
});

/** A PNG in base64. */
async function drawPicture(): Promise<string> {
  const create = { width: 64, height: 64, channels: 3, background: '#a03040' } as const;
  return (await sharp({ create }).png().toBuffer()).toString('base64');
}

describe('SIGTERM', () => {
  it('lets a short job finish, and leaves no process behind', async () => {
    const { child, exited, post, status } = await start('step=100');
    const answer = post('/generate', { ...fox, steps: 8 });
    while ((await status()).state !== 'busy') await sleep(20);
    const { engine_pid } = await status();
    child.kill('SIGTERM');
    expect((await answer).status).toBe(200);
    expect(await exited).toBe(0);
    expect(isAlive(engine_pid)).toBe(false);
  });

  it('finishes a job that takes most of its ten seconds', async () => {
    const { child, exited, post, status } = await start('step=500');
    const answer = post('/generate', { ...fox, steps: 11 });
    while ((await status()).state !== 'busy') await sleep(20);
    child.kill('SIGTERM');
    expect((await answer).status).toBe(200);
    expect(await exited).toBe(0);
  });

  it('ends within ten seconds, and answers everyone', async () => {
    const { child, exited, post, status } = await start('step=1000');
    const running = post('/generate', { ...fox, steps: 200 });
    const waiting = post('/generate', { ...fox, steps: 200, seed: 1 });
    while ((await status()).queue.waiting !== 1) await sleep(20);
    const begun = performance.now();
    child.kill('SIGTERM');
    const refused = await waiting;
    expect([refused.status, refused.headers.has('retry-after')]).toEqual([503, true]);
    expect((await refused.json()).error.code).toBe('CLOSED');
    expect((await running).status).toBe(503);
    expect(await exited).toBe(0);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});

describe('SIGTERM in the middle of jobs', () => {
  it('keeps them for the next start, under their ids', async () => {
    const first = await start('step=1000');
    const upscaler = join(first.folder, 'models', 'upscalers', 'four.safetensors');
    mkdirSync(dirname(upscaler), { recursive: true });
    copyFileSync(join(import.meta.dirname, '../fixtures/upscaler/x4.safetensors'), upscaler);
    const picture = await drawPicture();
    const bodies = [
      { ...fox, steps: 200 },
      { prompt: 'winter', init_image: picture, steps: 4, seed: 3 },
      { ...fox, seed: 2, batch: 2 },
      { operation: 'upscale', image: picture, model: 'four' },
      { ...fox, seed: 4 },
    ];
    const jobs: { id: string; events_url: string }[] = [];
    for (const body of bodies) jobs.push(await (await first.post('/jobs', body)).json());
    while ((await first.status()).queue.waiting !== 4) await sleep(20);
    await fetch(`${first.url}/jobs/${jobs[4]!.id}`, { method: 'DELETE' });
    const watching = fetch(`${first.url}${jobs[0]!.events_url}`).then((stream) => readEvents(stream));
    const begun = performance.now();
    first.child.kill('SIGTERM');
    const seen = (await watching).at(-1)!;
    expect(seen.event).toBe('queued');
    expect(await first.exited).toBe(0);
    expect(performance.now() - begun).toBeLessThan(10_000);

    const second = await start('step=0', { folder: first.folder });
    const get = (path: string, init?: RequestInit) => fetch(`${second.url}${path}`, init);
    const tasks = ['text2img', 'img2img', 'text2img', 'upscale'];
    for (const [i, { id, events_url }] of jobs.slice(0, 4).entries()) {
      const events = await readEvents(
        await get(events_url, i === 0 ? { headers: { 'Last-Event-ID': String(seen.id) } } : {}),
      );
      expect(events.at(-1)).toMatchObject({ event: 'done', data: { task: tasks[i] } });
      if (i === 0) expect(events[0]!.id).toBe(seen.id + 1);
      const job = await (await get(`/jobs/${id}`)).json();
      expect(job).toMatchObject({ id, status: 'done' });
      expect(existsSync(job.result.output_path)).toBe(true);
    }
    expect((await get(`/jobs/${jobs[4]!.id}`)).status).toBe(404);
    await vi.waitFor(() => expect(listJobFiles(first.folder)).toEqual([]));
  });

  it('keeps the result of a job that ended meanwhile', async () => {
    const first = await start('step=200');
    const job = await (await first.post('/jobs', { ...fox, seed: null, steps: 8 })).json();
    while ((await first.status()).state !== 'busy') await sleep(20);
    first.child.kill('SIGTERM');
    expect(await first.exited).toBe(0);
    const [image] = readdirSync(join(first.folder, 'outputs')).filter((name) => name.endsWith('.png'));

    const second = await start('step=1000', { folder: first.folder });
    const events = await readEvents(await fetch(`${second.url}${job.events_url}`));
    const { data } = events.at(-1)!;
    expect(data.output_path).toBe(join(first.folder, 'outputs', image!));
    expect(Buffer.from(data.image_base64, 'base64')).toEqual(readFileSync(data.output_path));
  });
});

describe('kill -9 of the server', () => {
  it('loses no job: the next start resumes them', async () => {
    const first = await start('step=1000');
    const picture = await drawPicture();
    const bodies = [
      { ...fox, steps: 200 },
      { prompt: 'winter', init_image: picture, steps: 4, seed: 3 },
      { ...fox, seed: 4 },
    ];
    const jobs: { id: string; events_url: string }[] = [];
    for (const body of bodies) {
      jobs.push(await (await first.post('/jobs', body)).json());
      // The long one first: requests join the queue once their pictures and models have been read.
      while ((await first.status()).state !== 'busy') await sleep(20);
    }
    expect(listJobFiles(first.folder)).toHaveLength(3);
    const seen = await readEvents(
      await fetch(`${first.url}${jobs[0]!.events_url}`),
      ({ event }) => event === 'phase',
    );
    await fetch(`${first.url}/jobs/${jobs[2]!.id}`, { method: 'DELETE' });
    first.child.kill('SIGKILL');
    await first.exited;

    const second = await start('step=0', { folder: first.folder });
    const tasks = ['text2img', 'img2img'];
    for (const [i, { id, events_url }] of jobs.slice(0, 2).entries()) {
      const headers = i === 0 ? { 'Last-Event-ID': String(seen.at(-1)!.id) } : {};
      const events = await readEvents(await fetch(`${second.url}${events_url}`, { headers }));
      expect(events[0]!.event).toBe('queued');
      expect(events.at(-1)).toMatchObject({ event: 'done', data: { task: tasks[i] } });
      expect(await (await fetch(`${second.url}/jobs/${id}`)).json()).toMatchObject({ id, status: 'done' });
    }
    expect((await fetch(`${second.url}/jobs/${jobs[2]!.id}`)).status).toBe(404);
    // A job's file is removed just after the job has ended.
    await vi.waitFor(() => expect(listJobFiles(first.folder)).toEqual([]));
  });

  it('leaves the jobs of a living server alone', async () => {
    const first = await start('step=100');
    const job = await (await first.post('/jobs', { ...fox, steps: 20 })).json();
    while ((await first.status()).state !== 'busy') await sleep(20);
    const second = await start('step=0', { folder: first.folder });
    expect((await fetch(`${second.url}/jobs/${job.id}`)).status).toBe(404);
    const events = await readEvents(await fetch(`${first.url}${job.events_url}`));
    expect(events.at(-1)!.event).toBe('done');
  });

  it('gives up on a job that no server survives', async () => {
    const folder = makeFolder();
    const first = await start('step=1000', { folder });
    const job = await (await first.post('/jobs', { ...fox, steps: 200 })).json();
    for (let server = first, begun = 1; ; begun++) {
      while (!listJobFiles(folder).some((name) => name.endsWith(`${job.id}.${begun}.json`))) await sleep(20);
      server.child.kill('SIGKILL');
      await server.exited;
      if (begun === 3) break;
      server = await start('step=1000', { folder });
    }
    const last = await start('step=1000', { folder });
    const events = await readEvents(await fetch(`${last.url}${job.events_url}`));
    expect(events.at(-1)).toMatchObject({ event: 'failed', data: { code: 'ENGINE_CRASHED' } });
    expect(events.at(-1)!.data.message).toContain('died 3 times');
    await vi.waitFor(() => expect(listJobFiles(folder)).toEqual([]));
  });
});

describe('kill -9 of the engine', () => {
  it('fails its job with a reason, and serves the next', async () => {
    const { post, status } = await start('step=50');
    const answer = post('/generate', { ...fox, steps: 100 });
    while ((await status()).state !== 'busy') await sleep(20);
    process.kill((await status()).engine_pid, 'SIGKILL');
    const failed = await answer;
    expect([failed.status, (await failed.json()).error.code]).toEqual([500, 'ENGINE_CRASHED']);
    expect((await post('/generate', fox)).status).toBe(200);
  });
});
