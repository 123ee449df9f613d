// A note comes out of every door over HTTP, and lies beside the picture.
import { readFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import { openServer, type TestServer } from './open-server.js';

const note = ':1.5 at the end of the prompt is taken as words: only prompts that AND joins have weights.';
const prompt = 'a fox :1.5';
const fields = { prompt, width: 64, height: 64, steps: 2, seed: 7 };
const noted = { notes: expect.arrayContaining([note]) };

let server: TestServer;
beforeAll(async () => {
  server = await openServer();
});
const answerOf = async (path: string, body: object) => (await server.post(path, body)).json();
/** The data of the last event of a kind. */
const lastOf = (stream: string, event: string) =>
  JSON.parse(stream.split(`event: ${event}\ndata: `).at(-1)!.split('\n')[0]!);

it('in the answer, also of a stored image, and in the sidecar', async () => {
  expect(await answerOf('/generate', fields)).toMatchObject(noted);
  const stored = await answerOf('/generate', { ...fields, return_mode: 'path' });
  expect(stored).toMatchObject({ cached: true, ...noted });
  expect(JSON.parse(readFileSync(stored.metadata_path, 'utf8'))).toMatchObject(noted);
});

it('in a job’s result and last event', async () => {
  const { id } = await answerOf('/jobs', fields);
  const events = await (await server.get(`/jobs/${id}/events`)).text();
  expect(events).toContain(JSON.stringify(note));
  expect(await (await server.get(`/jobs/${id}`)).json()).toMatchObject({ result: noted });
});

it('in OpenAI’s answer and stream', async () => {
  const asked = { prompt, size: '64x64' };
  expect(await answerOf('/v1/images/generations', asked)).toMatchObject(noted);
  const response = await server.post('/v1/images/generations', { ...asked, stream: true });
  expect(lastOf(await response.text(), 'image_generation.completed')).toMatchObject(noted);
});

it('in the WebUI’s info', async () => {
  const { info } = await answerOf('/sdapi/v1/txt2img', fields);
  expect(JSON.parse(info)).toMatchObject(noted);
});

it.each([
  ['webui', `${'('.repeat(4000)}fox${')'.repeat(4000)}`],
  ['comfy', '(fox:9e99)'],
  ['webui', `a fox AND an owl :${'9'.repeat(99)}`],
])('refuses weights in %s syntax that would leave no picture: %.20s', async (prompt_syntax, strong) => {
  const response = await server.post('/generate', { ...fields, prompt: strong, prompt_syntax });
  expect(response.status).toBe(400);
  expect((await response.json()).error).toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringContaining('expected weights of at most 1000000'),
  });
});

it('takes no prompt as an empty one where the WebUI does', async () => {
  const { prompt: _, ...rest } = fields;
  const [without, empty] = [rest, { ...rest, prompt: '' }].map((body) => answerOf('/sdapi/v1/txt2img', body));
  expect((await without)!.images).toHaveLength(1);
  expect((await without)!.images).toEqual((await empty)!.images);
});

it('of fields that the operation does not have, but of no other', async () => {
  const known = { negative_prompt: null, strength: null, scheduler: 'karras' };
  const { notes } = await answerOf('/generate', { ...fields, ...known, stpes: 3, init_image_path: 'a.png' });
  const unknown = notes.filter((one: string) => one.includes('no such field'));
  expect(unknown).toEqual([
    'stpes has no effect: generate has no such field.',
    'init_image_path has no effect: generate has no such field.',
  ]);
  const openAi = {
    prompt: 'x',
    size: '64x64',
    quality: 'high',
    user: 'me',
    background: 'auto',
    moderation: 'low',
  };
  const { id } = await answerOf('/jobs', { ...fields, operation: 'generate', preview_every: 1 });
  await (await server.get(`/jobs/${id}/events`)).text();
  const answers = [
    await answerOf('/v1/images/generations', openAi),
    await (await server.get(`/jobs/${id}`)).json(),
    await answerOf('/sdapi/v1/txt2img', { ...fields, enable_hr: true, hr_scale: 2, denoising_strength: 0.7 }),
  ];
  for (const answer of answers) expect(JSON.stringify(answer)).not.toContain('no such field');
});
