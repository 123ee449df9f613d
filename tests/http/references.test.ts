// Reference pictures over HTTP: our own fields, and OpenAI's edits with several images.
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { filesOfKlein } from '../golden-plans.js';
import { fox, openServer, type TestServer } from './open-server.js';

const picture = (side: number) =>
  sharp({ create: { width: side, height: side, channels: 3, background: '#3060a0' } })
    .png()
    .toBuffer();
const model = filesOfKlein();

let server: TestServer;
beforeAll(async () => {
  server = await openServer({ env: { ALLOWED_PATHS: path.dirname(path.dirname(model.model)) } });
});

describe('with a model that takes them', () => {
  it('reference pictures shape the image, and the cache tells them apart', async () => {
    const generate = async (sides: number[]) => {
      const reference_images = await Promise.all(
        sides.map(async (side) => (await picture(side)).toString('base64')),
      );
      const response = await server.post('/generate', { ...fox, ...model, reference_images });
      expect(response.status).toBe(200);
      return (await response.json()) as { image_base64: string; cached: boolean };
    };
    const none = await generate([]);
    const one = await generate([32]);
    const two = await generate([32, 48]);
    expect([none.cached, one.cached, two.cached]).toEqual([false, false, false]);
    expect(new Set([none, one, two].map(({ image_base64 }) => image_base64)).size).toBe(3);
    expect((await generate([32, 48])).cached).toBe(true);
  });

  it('several images of an OpenAI edit are references', async () => {
    const edit = async (sides: number[]) => {
      const form = new FormData();
      const fields = { prompt: 'a fox', size: '64x64', response_format: 'b64_json', seed: '42', steps: '4' };
      for (const [name, value] of Object.entries({ ...fields, ...model })) form.append(name, value);
      for (const side of sides)
        form.append('image[]', new Blob([new Uint8Array(await picture(side))]), `${side}.png`);
      const response = await server.get('/v1/images/edits', { method: 'POST', body: form });
      expect([response.status, response.ok || (await response.json())]).toEqual([200, true]);
      return ((await response.json()) as { data: [{ b64_json: string }] }).data[0].b64_json;
    };
    const [two, three] = [await edit([32, 48]), await edit([32, 48, 64])];
    expect(two).not.toBe(three);
  });

  it('more pictures than the schema allows are refused', async () => {
    const reference_paths = Array.from({ length: 11 }, () => 'a.png');
    const response = await server.post('/generate', { ...fox, ...model, reference_paths });
    expect(response.status).toBe(422);
  });
});

describe('with a model that takes none', () => {
  it('reference pictures are refused by name', async () => {
    const reference_images = [(await picture(32)).toString('base64')];
    const response = await server.post('/generate', { ...fox, reference_images });
    expect(response.status).toBe(422);
    expect(JSON.stringify(await response.json())).toMatch(/takes no reference pictures/);
  });
});
