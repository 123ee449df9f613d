// Health, models, status, unload, timeout, metrics and the OpenAPI document.
import { beforeAll, describe, expect, it } from 'vitest';
import { fox, openServer, type TestServer } from './open-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await openServer();
});

const json = async (path: string) => (await server.get(path)).json();

describe('GET /health', () => {
  it('has the documented fields before and after the first request', async () => {
    expect(await json('/health')).toMatchObject({
      status: 'ok',
      device: 'cpu',
      mps_available: process.platform === 'darwin' && process.arch === 'arm64',
      engine_constructed: false,
      resident_models: [],
      default_model: expect.any(String),
      ollama: { reachable: false, url: 'http://127.0.0.1:2', model: 'gemma4:latest', model_available: false },
    });
    await server.post('/generate', fox);
    const { engine_constructed, resident_models, default_model } = await json('/health');
    expect(engine_constructed).toBe(true);
    expect(resident_models).toEqual([default_model]);
  });
});

describe('GET /models', () => {
  it('lists every key with what it can do', async () => {
    const { models } = await json('/models');
    const keys = models.map(({ key }: { key: string }) => key);
    expect(keys).toEqual(
      expect.arrayContaining([
        'pocket',
        'sd-turbo',
        'sdxl-turbo',
        'sdxl',
        'sdxl-lcm',
        'sdxl-portrait',
        'flux-q4',
        'flux2-klein',
        'flux1-dev',
        'flux2-dev',
      ]),
    );
    const turbo = models.find(({ key }: { key: string }) => key === 'sd-turbo');
    expect(turbo).toMatchObject({
      default_steps: 2,
      default_guidance: 0,
      default_width: 512,
      guard: null,
      available: false,
    });
    expect(turbo.operations).toEqual(['text2img', 'img2img', 'inpaint']);
    expect(models.find(({ key }: { key: string }) => key === 'flux-q4')).toMatchObject({
      guard: 'ALLOW_FLUX',
      allowed: false,
    });
  });
});

describe('the lifecycle', () => {
  it('shows the timer, changes it, and unloads', async () => {
    await server.post('/generate', fox);
    const before = await json('/status');
    expect(before).toMatchObject({
      loaded: true,
      state: 'idle',
      timeout_seconds: 300,
      queue: { waiting: 0, running: false },
    });
    expect(before.seconds_until_unload).toBeGreaterThan(290);
    expect(before.engine_pid).toBeGreaterThan(0);
    const put = (timeout_seconds: unknown) => server.post('/timeout', { timeout_seconds }, { method: 'PUT' });
    expect(await (await put(600)).json()).toMatchObject({ timeout_seconds: 600 });
    expect((await json('/status')).seconds_until_unload).toBeGreaterThan(590);
    expect(await (await put(0)).json()).toMatchObject({ timeout_seconds: 0, seconds_until_unload: null });
    for (const bad of [-1, 'soon', null]) expect((await put(bad)).status).toBe(422);

    expect(await (await server.post('/unload', {})).json()).toEqual({ ok: true, unloaded: true });
    expect(() => process.kill(before.engine_pid, 0)).toThrow();
    expect(await json('/status')).toMatchObject({
      loaded: false,
      model: null,
      state: 'stopped',
      engine_pid: null,
    });
    expect(await (await server.post('/unload', {})).json()).toEqual({ ok: true, unloaded: false });
    expect((await server.post('/generate', { ...fox, use_cache: false })).status).toBe(200);
  });

  it('unloads by itself when nobody asks any more', async () => {
    const brief = await openServer({ env: { FLUX_UNLOAD_TIMEOUT: '0.2' } });
    await brief.post('/generate', fox);
    const deadline = Date.now() + 5000;
    while ((await (await brief.get('/health')).json()).engine_constructed && Date.now() < deadline);
    expect(await (await brief.get('/status')).json()).toMatchObject({ loaded: false, engine_pid: null });
  });
});

describe('GET /metrics', () => {
  it('is Prometheus text', async () => {
    const response = await server.get('/metrics');
    expect(response.headers.get('content-type')).toContain('version=0.0.4');
    const lines = (await response.text()).trim().split('\n');
    for (const line of lines) {
      expect(line).toMatch(
        /^(# (HELP|TYPE) imageforge_\w+ .+|imageforge_\w+(\{(\w+="[^"]*",?)+\})? [\d.e+-]+)$/,
      );
    }
    expect(lines.find((line) => line.startsWith('imageforge_jobs_total{outcome="done"}'))).toMatch(
      / [1-9]\d*$/,
    );
    expect(lines).toContainEqual(expect.stringMatching(/path="\/generate",status="200"/));
  });
});

describe('the OpenAPI document', () => {
  it('is complete, and its references lead somewhere', async () => {
    const document = await json('/openapi.json');
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        '/health',
        '/models',
        '/generate',
        '/edit',
        '/inpaint',
        '/jobs',
        '/jobs/{id}',
        '/jobs/{id}/events',
        '/images/{file}',
        '/unload',
        '/status',
        '/timeout',
        '/metrics',
      ]),
    );
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
      expect(document.components.schemas).toHaveProperty(name!);
    expect(text).not.toContain('$defs');
    const { properties, required } = document.components.schemas.GenerateRequest;
    expect(required).toEqual(['prompt']);
    expect(Object.keys(properties)).toEqual(
      expect.arrayContaining([
        'prompt',
        'negative_prompt',
        'model',
        'steps',
        'guidance',
        'width',
        'height',
        'seed',
        'assist_prompt',
        'use_cache',
        'return_mode',
      ]),
    );
    const ids = Object.values(document.paths).flatMap((path) =>
      Object.values(path as object).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });
});
