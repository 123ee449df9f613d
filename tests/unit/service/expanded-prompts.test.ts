// Styles, choices and prompt syntax through the service: the prompt of each picture, and the prompt as given.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EngineClient } from '../../../src/engine/client.js';
import { ImageService } from '../../../src/service/image-service.js';
import { parseParameters } from '../../../src/service/pictures/parameters.js';
import { readPngText } from '../../../src/service/pictures/png-text.js';
import { readConfig } from '../../../src/shared/config.js';
import { makeFolder } from '../../folder.js';
import { testModel } from '../../test-model.js';

let folder: string;
let service: ImageService;
beforeEach(() => {
  folder = makeFolder('expanded');
  mkdirSync(path.join(folder, 'prompts/wildcards'), { recursive: true });
  writeFileSync(path.join(folder, 'prompts/wildcards/colour.txt'), 'red\ngreen\nblue');
  writeFileSync(
    path.join(folder, 'prompts/styles.csv'),
    'name,prompt,negative_prompt\nOil,"{prompt}, oil on canvas",photo',
  );
  const config = readConfig({
    directory: folder,
    env: {
      IMAGEFORGE_MODEL: testModel.model,
      HF_HOME: folder,
      IMAGEFORGE_MODEL_DIR: path.join(folder, 'models'),
      PROMPT_DIR: path.join(folder, 'prompts'),
    },
  });
  const binding = new URL('../engine/fake-addon.mjs', import.meta.url).href;
  service = new ImageService({ config, confine: true, client: new EngineClient({ binding }) });
});
afterEach(() => service.close());

const fox = { width: 64, height: 64, steps: 2, seed: 42 };
const run = (fields: object) => service.run(service.parse('generate', { ...fox, ...fields }));

it('gives each picture its own choices, and records the prompt as given', async () => {
  const template = 'a {tall|small|thin|old} __colour__ fox';
  const result = await run({ prompt: template, negative_prompt: '{x|y}', styles: ['Oil'], batch: 4 });
  const prompts = result.images.map(({ metadata }) => metadata.prompt);
  expect(new Set(prompts).size).toBeGreaterThan(1);
  for (const { path: file, sidecarPath, metadata, png } of result.images) {
    expect(metadata.prompt).toMatch(/^a (tall|small|thin|old) (red|green|blue) fox, oil on canvas$/);
    expect(metadata.negative_prompt).toMatch(/^[xy], photo$/);
    expect(file).not.toBeNull();
    expect(JSON.parse(readFileSync(sidecarPath!, 'utf8'))).toMatchObject({
      prompt: metadata.prompt,
      original_prompt: template,
      original_negative_prompt: '{x|y}',
      assisted: false,
      styles: ['Oil'],
      prompt_syntax: 'webui',
    });
    expect(parseParameters(readPngText(png).parameters!)).toMatchObject({
      Prompt: metadata.prompt,
      Template: template,
    });
  }
  expect(result.prompt).toBe(prompts[0]);
  // The third picture of the batch is the one that its own seed makes alone.
  const third = await run({ prompt: template, negative_prompt: '{x|y}', styles: ['Oil'], seed: 44 });
  expect(third.images[0].metadata.prompt).toBe(prompts[2]);
  const again = await run({ prompt: template, negative_prompt: '{x|y}', styles: ['Oil'], batch: 4 });
  expect(again.cached).toBe(true);
  expect(again.images.map(({ metadata }) => metadata.prompt)).toEqual(prompts);
});

it('leaves JSON and plain syntax alone', async () => {
  const json = '{"scene": "a | b", "style": "__colour__"}';
  expect((await run({ prompt: json })).images[0].metadata).toMatchObject({
    prompt: json,
    original_prompt: null,
  });
  const plain = await run({ prompt: '{a|b} __colour__', prompt_syntax: 'plain' });
  expect(plain.images[0].metadata).toMatchObject({ prompt: '{a|b} __colour__', prompt_syntax: 'plain' });
});

it.each<[object, RegExp]>([
  [{ prompt: 'a __shade__ fox' }, /__shade__ is no wildcard/],
  [{ prompt: 'a', styles: ['Chalk'] }, /there is no style Chalk/],
  [{ prompt: '{a|b}', assist_prompt: true }, /assist_prompt: expected a prompt without wildcards/],
  // A choice must not name files that a client may not name.
  [{ prompt: '{<lora:/etc/passwd>|<lora:/etc/passwd>}' }, /outside|allowed|not/i],
])('refuses %j', async (fields, message) => {
  await expect(run(fields)).rejects.toThrow(message);
});

it('draws an empty prompt', async () => {
  const result = await run({ prompt: '' });
  expect(result.images[0].metadata.prompt).toBe('');
});
