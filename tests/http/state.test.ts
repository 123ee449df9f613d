// Health, models, status, unload, timeout, metrics and the OpenAPI document.
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createApp } from '../../src/http/app.js';
import {
  healthSchema,
  imageResponseSchema,
  jobSchema,
  modelsSchema,
} from '../../src/service/answers/schemas.js';
import { statusSchema } from '../../src/service/answers/status.js';
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

it('keeps connections open for longer than clients do', async () => {
  expect((await server.get('/health')).headers.get('keep-alive')).toBe('timeout=65');
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
    expect(before.seconds_until_unload).toBeGreaterThan(200);
    expect(before.engine_pid).toBeGreaterThan(0);
    const put = (timeout_seconds: unknown) => server.post('/timeout', { timeout_seconds }, { method: 'PUT' });
    expect(await (await put(600)).json()).toMatchObject({ timeout_seconds: 600 });
    expect((await json('/status')).seconds_until_unload).toBeGreaterThan(500);
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

  it('unloads by itself when requests stop', async () => {
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
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it
  let document: any;
  beforeAll(async () => {
    document = await json('/openapi.json');
  });
  const operations = () =>
    Object.entries<Record<string, Record<string, never>>>(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        path,
        method,
        operation: operation as Record<string, never>,
      })),
    );

  it('describes every route, and no other', () => {
    const { routes } = createApp({ service: server.service });
    /** Pages for people, and MCP, which has its own description. */
    const others = ['/', '/*', '/docs', '/docs/start.js', '/docs/:file', '/openapi.json', '/mcp'];
    const answered = routes
      .filter(({ path }) => !others.includes(path))
      .map(({ method, path }) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, '{$1}')}`);
    const described = operations().map(({ method, path }) => `${method} ${path}`);
    expect(described.sort()).toEqual([...new Set(answered)].sort());
    expect(described.length).toBeGreaterThan(25);
  });

  it('is of version 3.1: every operation is complete, and every reference resolves', () => {
    expect(document).toMatchObject({
      openapi: '3.1.0',
      info: { title: 'ImageForge', version: expect.any(String) },
    });
    for (const { path, method, operation } of operations()) {
      const { responses, parameters = [], requestBody, tags } = operation as Record<string, never>;
      expect(document.tags, path).toContainEqual(expect.objectContaining({ name: (tags as string[])[0] }));
      expect(Object.keys(responses).some((status) => /^2\d\d$/.test(status))).toBe(true);
      for (const [status, response] of Object.entries<Record<string, unknown>>(responses)) {
        expect(status).toMatch(/^[2-5]\d\d$/);
        expect(response.description).toEqual(expect.stringMatching(/./));
      }
      const named = (parameters as { name: string; in: string; required: boolean }[])
        .filter((parameter) => parameter.in === 'path' && parameter.required)
        .map(({ name }) => name);
      expect(named).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
      if (requestBody) expect(['post', 'put']).toContain(method);
    }
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
      expect(document.components.schemas).toHaveProperty(name!);
    expect(text).not.toContain('$defs');
  });

  it('has only types and keywords that JSON Schema knows', () => {
    const words = new Set(
      `$ref type properties required items additionalProperties propertyNames enum const anyOf oneOf allOf not format
       pattern description title default examples minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength
       maxLength minItems maxItems prefixItems readOnly`.split(/\s+/),
    );
    const types = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];
    const look = (schema: unknown, at: string): void => {
      if (typeof schema === 'boolean') return;
      for (const [word, value] of Object.entries(schema as Record<string, unknown>)) {
        expect(words, `${at}.${word}`).toContain(word);
        if (word === 'type') expect(types, at).toEqual(expect.arrayContaining([value].flat()));
        if (word === 'properties')
          for (const [name, part] of Object.entries(value as object)) look(part, `${at}.${name}`);
        if (['anyOf', 'oneOf', 'allOf', 'prefixItems'].includes(word))
          for (const part of value as unknown[]) look(part, `${at}.${word}`);
        if (['items', 'additionalProperties', 'propertyNames', 'not'].includes(word))
          look(value, `${at}.${word}`);
      }
    };
    for (const [name, schema] of Object.entries(document.components.schemas)) look(schema, name);
  });

  it('has the fields of requests', () => {
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
  });

  it('matches the real answers', async () => {
    const strict = (schema: z.ZodObject, answer: unknown) => z.strictObject(schema.shape).parse(answer);
    strict(imageResponseSchema, await (await server.post('/generate', fox)).json());
    strict(healthSchema, await json('/health'));
    strict(modelsSchema, await json('/models'));
    strict(statusSchema, await json('/status'));
    strict(jobSchema, await (await server.post('/jobs', fox)).json());
  });
});
