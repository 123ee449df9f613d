// The MCP door with the SDK's own client, over stdio to a child process and over streamable HTTP, in both generations of
// the protocol. The stdio server is the compiled program.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Progress, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { writeControlNet } from '../control-file.js';
import { openServer, type TestServer } from '../http/open-server.js';
import { testModel } from '../test-model.js';

const folder = mkdtempSync(join(tmpdir(), 'imageforge-mcp-'));
let server: TestServer;
beforeAll(async () => {
  server = await openServer({ behaviour: 'step=25' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const eras = { '2025': 'legacy', '2026': { pin: '2026-07-28' } } as const;
const ways = [
  ['stdio', '2025'],
  ['stdio', '2026'],
  ['http', '2025'],
  ['http', '2026'],
] as const;

const fox = { prompt: 'a red fox', width: 64, height: 64, steps: 4, seed: 42 };

interface Facts {
  status: string;
  [name: string]: unknown;
}

describe.each(ways)('over %s, era %s', (way, era) => {
  let client: Client;
  const connect = async () => {
    client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: eras[era] } });
    const args = [join(import.meta.dirname, 'noisy-server.mjs'), folder, testModel.model, 'step=25'];
    await client.connect(
      way === 'stdio'
        ? new StdioClientTransport({ command: process.execPath, args, stderr: 'ignore' })
        : new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`)),
    );
  };
  beforeAll(connect);
  afterAll(() => client.close());

  const call = async (name: string, args: object = {}, options = {}) => {
    const answer = await client.callTool({ name, arguments: args as Record<string, unknown> }, options);
    const text = answer.content.find((block) => block.type === 'text')?.text ?? '';
    return {
      answer,
      text,
      facts: answer.structuredContent as unknown as Facts,
      kinds: answer.content.map(({ type }) => type),
    };
  };

  it('introduces itself and lists the tools of both programs', async () => {
    expect(client.getServerVersion()).toMatchObject({
      name: 'imageforge',
      version: expect.stringMatching(/^\d/),
    });
    if (era === '2026') expect(client.getNegotiatedProtocolVersion()).toBe('2026-07-28');
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual([
      'generate_image',
      'edit_image',
      'inpaint_image',
      'assist_prompt',
      'list_models',
      'get_status',
      'unload_model',
      'set_timeout',
      'job',
      'upscale_image',
    ]);
    const fields = (name: string) =>
      Object.keys(tools.find((tool) => tool.name === name)!.inputSchema.properties ?? {});
    expect(fields('generate_image')).toEqual(
      expect.arrayContaining([
        'prompt',
        'model',
        'steps',
        'guidance',
        'guidance_scale',
        'width',
        'height',
        'seed',
        'negative_prompt',
        'assist',
        'wait_seconds',
      ]),
    );
    expect(fields('edit_image')).toEqual(expect.arrayContaining(['image_path', 'strength']));
    expect(fields('inpaint_image')).toEqual(expect.arrayContaining(['image_path', 'mask_path']));
    expect(fields('set_timeout')).toEqual(['timeout_seconds']);
    for (const { outputSchema, inputSchema } of tools) {
      expect(outputSchema?.type).toBe('object');
      expect(inputSchema.type).toBe('object');
    }
  });

  it('makes an image larger, reporting every tile, or as a job', async () => {
    const home = way === 'stdio' ? folder : server.folder;
    const model = join(home, 'models', 'upscalers', 'four.safetensors');
    mkdirSync(dirname(model), { recursive: true });
    copyFileSync(join(import.meta.dirname, '../fixtures/upscaler/x4.safetensors'), model);
    const png = sharp({ create: { width: 100, height: 40, channels: 3, background: '#a73' } }).png();
    const image = (await png.toBuffer()).toString('base64');
    const args = { image, model: 'four', tile: 64 };
    const seen: Progress[] = [];
    const onprogress = (progress: Progress) => seen.push(progress);
    const { facts, kinds } = await call('upscale_image', args, { onprogress });
    expect(kinds).toEqual(['image', 'text', 'resource_link']);
    expect(facts).toMatchObject({ status: 'done', task: 'upscale', model: 'four', scale: 4 });
    expect(facts).toMatchObject({ width: 400, height: 160, source_width: 100, source_height: 40 });
    expect((await sharp(facts.output_path as string).metadata()).width).toBe(400);
    expect(seen.map(({ message }) => message)).toContain('upscaling, tile 1/3');
    expect(seen.at(-1)).toMatchObject({ progress: 3, total: 3 });

    const soon = await call('upscale_image', { ...args, wait_seconds: 0 });
    expect(soon.facts).toMatchObject({ status: 'running', job_id: expect.any(String) });
    const later = await call('job', { job_id: soon.facts.job_id, action: 'wait' });
    expect(later.facts).toMatchObject({ status: 'done', task: 'upscale', width: 400 });
    const { answer } = await call('upscale_image', { image, model: 'five' });
    expect(answer).toMatchObject({ isError: true });
  });

  it('follows the picture of a ControlNet', async () => {
    const home = way === 'stdio' ? folder : server.folder;
    mkdirSync(join(home, 'models', 'controlnet'), { recursive: true });
    await writeControlNet(join(home, 'models', 'controlnet', 'edges.safetensors'), testModel);
    const png = await sharp({ create: { width: 20, height: 10, channels: 3, background: '#a73' } })
      .png()
      .toBuffer();
    // The file also holds the request, so compare only pixels.
    const draw = async (fields: object) => {
      const { answer } = await call('generate_image', { ...fox, ...fields });
      const block = answer.content.find(({ type }) => type === 'image') as { data: string };
      return (await sharp(Buffer.from(block.data, 'base64')).raw().toBuffer()).toString('base64');
    };
    const control = { control: 'edges', control_image: png.toString('base64') };
    const [plain, steered] = [await draw({}), await draw(control)];
    expect(steered).not.toBe(plain);
    expect(await draw({ ...control, control_strength: 0 })).toBe(plain);
    const { answer } = await call('generate_image', { ...fox, control: 'edges' });
    expect(answer.isError).toBe(true);
  });

  it('generates, reporting every step', async () => {
    const seen: Progress[] = [];
    const { answer, facts, text, kinds } = await call(
      'generate_image',
      { ...fox, use_cache: false },
      {
        onprogress: (progress: Progress) => seen.push(progress),
      },
    );
    expect(kinds).toEqual(['image', 'text', 'resource_link']);
    expect(facts).toMatchObject({
      status: 'done',
      task: 'text2img',
      seed: 42,
      steps: 4,
      width: 64,
      height: 64,
      cached: false,
    });
    expect(JSON.parse(text)).toMatchObject({
      task: 'text2img',
      seed: 42,
      prompt: 'a red fox',
      output_path: facts.output_path,
    });
    const image = answer.content.find((block) => block.type === 'image')!;
    expect(await sharp(Buffer.from(image.data, 'base64')).metadata()).toMatchObject({
      width: 64,
      height: 64,
    });
    expect(image.mimeType).toBe('image/png');
    await sleep(50);
    const values = seen.map(({ progress }) => progress);
    expect(values).toEqual([...values].sort((a, b) => a - b));
    expect(new Set(values).size).toBe(values.length);
    const messages = seen.map(({ message }) => message);
    expect(messages).toEqual(expect.arrayContaining(['step 1/4', 'step 2/4', 'step 3/4', 'step 4/4']));
    expect(seen.find(({ message }) => message === 'step 3/4')).toMatchObject({ progress: 3, total: 4 });

    const link = answer.content.find((block) => block.type === 'resource_link')!;
    const { contents } = await client.readResource({ uri: link.uri });
    expect(Buffer.from((contents[0] as { blob: string }).blob, 'base64')).toEqual(
      readFileSync(String(facts.output_path)),
    );
  });

  it('edits and repaints pictures it made', async () => {
    const { facts } = await call('generate_image', fox);
    const edited = await call('edit_image', {
      prompt: 'winter',
      image_path: facts.output_path,
      steps: 4,
      strength: 0.5,
    });
    expect(edited.facts).toMatchObject({ status: 'done', task: 'img2img' });
    const painted = await call('inpaint_image', {
      prompt: 'x',
      image_path: facts.output_path,
      mask_path: facts.output_path,
      steps: 4,
    });
    expect(painted.facts).toMatchObject({ status: 'done', task: 'inpaint' });
  });

  it('can be cancelled midway, down to the engine', async () => {
    const controller = new AbortController();
    let steps = 0;
    const begun = performance.now();
    const answer = call(
      'generate_image',
      { ...fox, steps: 200, use_cache: false },
      {
        signal: controller.signal,
        onprogress: () => ++steps === 6 && controller.abort('enough'),
      },
    );
    await expect(answer).rejects.toThrow();
    expect(performance.now() - begun).toBeLessThan(4000);
    const deadline = Date.now() + 3000;
    let state = 'busy';
    while (state === 'busy' && Date.now() < deadline) {
      state = String((await call('get_status')).facts.state);
      await sleep(20);
    }
    expect(state).toBe('idle');
  });

  it('turns a long call into a job', async () => {
    const { facts } = await call('generate_image', {
      ...fox,
      steps: 30,
      use_cache: false,
      wait_seconds: 0.2,
    });
    expect(facts).toMatchObject({ status: 'running', job_id: expect.any(String) });
    const { job_id } = facts;
    expect((await call('job', { job_id })).facts).toMatchObject({ status: 'running', job_id });
    const waited = await call('job', { job_id, action: 'wait' });
    expect(waited.kinds).toEqual(['image', 'text', 'resource_link']);
    expect(waited.facts).toMatchObject({ status: 'done', steps: 30 });
    expect((await call('job', { job_id, action: 'result' })).facts).toMatchObject({
      status: 'done',
      seed: 42,
    });

    const second = await call('generate_image', { ...fox, steps: 200, use_cache: false, wait_seconds: 0 });
    const cancelled = await call('job', { job_id: second.facts.job_id, action: 'cancel' });
    expect(cancelled.facts.status).toBe('cancelled');
  });

  it.each([
    ['generate_image', { ...fox, width: 65 }, /width: expected a multiple of 8, found 65/],
    ['generate_image', {}, /prompt: expected text, found nothing/],
    ['generate_image', { ...fox, model: 'flux-q4' }, /guarded[\s\S]*Hint: Set ALLOW_FLUX=1/],
    ['edit_image', { prompt: 'x', image_path: '/etc/passwd' }, /FORBIDDEN[\s\S]*Hint: .*ALLOWED_PATHS/],
    ['edit_image', { prompt: 'x' }, /init_image/],
    ['job', { job_id: 'x' }, /NOT_FOUND[\s\S]*Hint/],
  ])('answers %s %j with a tool error', async (name, args, expected) => {
    const { answer, text } = await call(name, args);
    expect(answer.isError).toBe(true);
    expect(text).toMatch(expected);
  });

  it('reports and changes its state', async () => {
    await call('generate_image', fox);
    const models = (await call('list_models')).facts.models as { key: string }[];
    expect(models.map(({ key }) => key)).toContain('sd-turbo');
    expect((await call('set_timeout', { timeout_seconds: 600 })).facts).toMatchObject({
      timeout_seconds: 600,
    });
    const status = (await call('get_status')).facts;
    expect(status).toMatchObject({ loaded: true, timeout_seconds: 600, last_access: expect.any(String) });
    expect(status.seconds_until_unload).toBeGreaterThan(500);
    expect((await call('unload_model')).facts).toEqual({ unloaded: true });
    expect((await call('get_status')).facts).toMatchObject({ loaded: false, engine_pid: null });
    expect((await call('assist_prompt', { prompt: 'a fox' })).facts).toMatchObject({
      prompt: 'a fox',
      assisted: false,
      source: 'passthrough',
      reason: expect.stringMatching(/not reachable/),
    });
  });

  it('keeps the preview of a large picture small', async () => {
    const { answer, facts } = await call('generate_image', {
      ...fox,
      width: 1024,
      height: 768,
      steps: 1,
      wait_seconds: 55,
    });
    const image = answer.content.find((block) => block.type === 'image')!;
    expect(image.data.length).toBeLessThanOrEqual(300_000);
    const { width, height } = await sharp(Buffer.from(image.data, 'base64')).metadata();
    expect(Math.max(width, height)).toBeLessThanOrEqual(768);
    expect(await sharp(String(facts.output_path)).metadata()).toMatchObject({ width: 1024, height: 768 });
  });
});

describe('a long step', () => {
  it('reports at least every ten seconds', async () => {
    const client = new Client({ name: 'test', version: '1' });
    const args = [join(import.meta.dirname, 'noisy-server.mjs'), folder, testModel.model, 'step=60000'];
    await client.connect(new StdioClientTransport({ command: process.execPath, args, stderr: 'ignore' }));
    const controller = new AbortController();
    const times: number[] = [];
    const onprogress = () => {
      times.push(performance.now());
      if (performance.now() - times[0]! > 15_000) controller.abort('enough');
    };
    const options = { signal: controller.signal, onprogress };
    const answer = client.callTool({ name: 'generate_image', arguments: { ...fox, steps: 1 } }, options);
    await expect(answer).rejects.toThrow();
    const gaps = times.slice(1).map((time, i) => time - times[i]!);
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(15_000);
    expect(Math.max(...gaps)).toBeLessThan(10_000);
    await client.close();
  }, 60_000);
});

describe('a client of 2025 over HTTP', () => {
  let client: Client;
  afterEach(() => client?.close());
  it('has a session; an unknown one is refused', async () => {
    const transport = new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`));
    client = new Client({ name: 'test', version: '1' });
    await client.connect(transport);
    expect(transport.sessionId).toMatch(/^[0-9a-f-]{36}$/);
    const headers = { 'Mcp-Session-Id': 'nonsense', Accept: 'application/json, text/event-stream' };
    const response = await server.post('/mcp', { jsonrpc: '2.0', id: 1, method: 'tools/list' }, { headers });
    expect(response.status).toBe(404);
  });
});
