// Notes and seeds of 64 bits come out of every server door unchanged, both the notes of the pipeline and earlier ones.
import { readFileSync } from 'node:fs';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { readPngText } from '../../src/service/pictures/png-text.js';
import { openServer, readEvents, type TestServer } from './open-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await openServer();
});

const SEED = '18446744073709551614';
const NEXT = '18446744073709551615';
const small = { prompt: 'a red fox', width: 64, height: 64, steps: 2 };
/** A request that gets notes: Ollama is not available, and guidance 1 reads no negative prompt. */
const noted = { ...small, assist_prompt: true, guidance: 1, guidance_rescale: 0.5, seed: SEED, batch: 2 };
const both = [
  expect.stringMatching(/^The prompt was not expanded/),
  expect.stringMatching(/^guidance_rescale/),
];
const mask = /^The mask has transparency: its opaque part is repainted/;

/** White, the left half transparent. */
async function drawMask(): Promise<string> {
  const data = Buffer.from(
    Array.from({ length: 64 * 64 }, (_, i) => [255, 255, 255, i % 64 < 32 ? 0 : 255]).flat(),
  );
  return (
    await sharp(data, { raw: { width: 64, height: 64, channels: 4 } })
      .png()
      .toBuffer()
  ).toString('base64');
}

async function drawSource(): Promise<string> {
  const create = { width: 64, height: 64, channels: 3, background: '#a08060' } as const;
  return (await sharp({ create }).png().toBuffer()).toString('base64');
}

describe('notes and seeds', () => {
  it('are in the answer, the sidecar and the PNG', async () => {
    const answer = await (await server.post('/generate', noted)).json();
    expect(answer).toMatchObject({ seed: SEED, images: [{ seed: SEED }, { seed: NEXT }], notes: both });
    expect(answer.output_path).toContain(`_${SEED}.png`);
    expect(JSON.parse(readFileSync(answer.images[1].metadata_path, 'utf8'))).toMatchObject({
      seed: NEXT,
      notes: both,
    });
    expect(readPngText(readFileSync(answer.output_path)).parameters).toContain(`Seed: ${SEED},`);
    const again = await (await server.post('/generate', noted)).json();
    expect(again).toMatchObject({ cached: true, seed: SEED, notes: both });
  });

  it('are in the result of a job', async () => {
    const job = await (await server.post('/jobs', { ...noted, steps: 3 })).json();
    const events = await readEvents(await server.get(job.events_url));
    expect(events.at(-1)).toMatchObject({ event: 'done', data: { seed: SEED, notes: both } });
    const later = await (await server.get(`/jobs/${job.id}`)).json();
    expect(later.result).toMatchObject({ seed: SEED, notes: both });
  });

  it('are in the info of the WebUI', async () => {
    const source = { init_images: [await drawSource()], mask: await drawMask() };
    const asked = { ...small, ...source, seed: SEED, batch_size: 2 };
    for (const change of [{}, { inpainting_mask_invert: 1, mask_blur: 2 }]) {
      const response = await server.post('/sdapi/v1/img2img', { ...asked, ...change });
      const info = JSON.parse((await response.json()).info);
      expect(info).toMatchObject({ seed: SEED, all_seeds: [SEED, NEXT] });
      expect(info.infotexts[1]).toContain(`Seed: ${NEXT},`);
      expect(info.notes).toEqual(expect.arrayContaining([expect.stringMatching(mask)]));
    }
  });

  it('are in the answers and events of OpenAI’s API', async () => {
    const { batch: n, width: _w, height: _h, ...fields } = noted;
    const asked = { ...fields, n, size: '64x64', response_format: 'b64_json' };
    const answer = await (await server.post('/v1/images/generations', asked)).json();
    expect(answer.notes).toEqual(both);
    const png = Buffer.from(answer.data[1].b64_json, 'base64');
    expect(readPngText(png).parameters).toContain(`Seed: ${NEXT},`);
    const events = await readEvents(await server.post('/v1/images/generations', { ...asked, stream: true }));
    const completed = events.filter(({ event }) => event === 'image_generation.completed');
    expect(completed.map(({ data }) => data.notes)).toEqual([both, both]);
  });

  it('are accepted in a form', async () => {
    const form = new FormData();
    form.set('image', new Blob([Buffer.from(await drawSource(), 'base64')], { type: 'image/png' }), 'a.png');
    for (const [name, value] of Object.entries({
      prompt: 'x',
      steps: '2',
      seed: SEED,
      response_format: 'b64_json',
    }))
      form.set(name, value);
    const response = await server.get('/v1/images/edits', { method: 'POST', body: form });
    const { data } = await response.json();
    expect(readPngText(Buffer.from(data[0].b64_json, 'base64')).parameters).toContain(`Seed: ${SEED},`);
  });

  it('are in the text and structured content of MCP tools', async () => {
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`)));
    const { assist_prompt: assist, ...rest } = noted;
    const answer = await client.callTool({ name: 'generate_image', arguments: { ...rest, assist } });
    const text = answer.content.find((block) => block.type === 'text')!.text;
    for (const facts of [answer.structuredContent, JSON.parse(text)])
      expect(facts).toMatchObject({ seed: SEED, notes: both, images: [{ seed: SEED }, { seed: NEXT }] });
    const { tools } = await client.listTools();
    const { seed } = tools.find(({ name }) => name === 'generate_image')!.inputSchema.properties!;
    expect(JSON.stringify(seed)).toMatch(/"maximum":9007199254740991.*"string"/);
    await client.close();
  });

  it('are numbers up to 2^53 - 1, however they were written', async () => {
    for (const [seed, expected] of [
      ['7', 7],
      ['9007199254740991', 9007199254740991],
      [9007199254740991, 9007199254740991],
      ['9007199254740992', '9007199254740992'],
    ])
      expect(await (await server.post('/generate', { ...small, seed })).json()).toMatchObject({
        seed: expected,
      });
    for (const seed of [-1, '-1', null]) {
      const random = await (await server.post('/generate', { ...small, seed })).json();
      expect(random.seed).toBeLessThan(2 ** 32);
    }
  });

  it('are refused if digits were lost, or if the batch would exceed the largest seed', async () => {
    const body = `{"prompt": "x", "seed": 9007199254740993}`;
    const headers = { 'Content-Type': 'application/json' };
    const lost = await server.get('/generate', { method: 'POST', body, headers });
    expect(lost.status).toBe(422);
    expect(await lost.text()).toContain('give the seed as a string');
    const batch = await server.post('/generate', { ...small, seed: NEXT, batch: 2 });
    expect(batch.status).toBeGreaterThanOrEqual(400);
    expect(await batch.text()).toContain(`at most ${SEED} for a batch of 2, found ${NEXT}`);
  });

  it('are in the OpenAPI document', async () => {
    const document = await (await server.get('/openapi.json')).json();
    const { properties } = document.components.schemas.ImageResponse;
    expect(JSON.stringify(properties.seed)).toContain('"string"');
    expect(JSON.stringify(document)).toContain('^(-1|[0-9]{1,20})$');
    expect(document.components.schemas.UpscaleResponse.properties).toHaveProperty('notes');
  });
});
