// LoRA tags in prompts: what WebUI users write, and what must not count as a tag.
import { expect, it } from 'vitest';
import { takeLoraTags } from '../../../src/text/lora-tags.js';

it('takes names and strengths out of the prompt', () => {
  expect(takeLoraTags('a fox <lora:ink:0.8>')).toEqual({
    prompt: 'a fox',
    loras: [{ path: 'ink', strength: 0.8 }],
  });
  expect(takeLoraTags('<lora:ink>a <lora:styles/old film:-.5>(fox:1.2)<lora:ink:1:1>')).toEqual({
    prompt: 'a (fox:1.2)',
    loras: [
      { path: 'ink', strength: 1 },
      { path: 'styles/old film', strength: -0.5 },
      { path: 'ink', strength: 1 },
    ],
  });
});

it.each([
  ['<lora:x:0.5:0.8>', { strength: 0.8, textStrength: 0.5 }],
  ['<lora:x:te=0.5:unet=0.8>', { strength: 0.8, textStrength: 0.5 }],
  ['<lora:x:unet=0.8:te=0.5>', { strength: 0.8, textStrength: 0.5 }],
  // The denoiser uses the text encoders' strength unless the tag says otherwise.
  ['<lora:x:te=0.5>', { strength: 0.5 }],
  ['<lora:x:unet=0.8>', { strength: 0.8, textStrength: 1 }],
  ['<lora:x:0.7:unet=0>', { strength: 0, textStrength: 0.7 }],
  ['<lora:x: 0.5 : 0.5 >', { strength: 0.5 }],
  ['<lyco:x:0.5:0.8>', { strength: 0.8, textStrength: 0.5 }],
  ['<lyco:x>', { strength: 1 }],
])('%s', (tag, strengths) => {
  expect(takeLoraTags(`a fox ${tag}`)).toEqual({ prompt: 'a fox', loras: [{ path: 'x', ...strengths }] });
});

it('leaves every other text as it is', () => {
  for (const prompt of ['', ' a  fox ', 'a < b', 'lora:x:1', 'hypernet:x', '<lora:open', 'a <lora :x>'])
    expect(takeLoraTags(prompt)).toEqual({ prompt, loras: [] });
});

it.each([
  '<lora:>',
  '<lora::1>',
  '<lora:x:>',
  '<lora:x:much>',
  '<lora:x:1e9>',
  '<lora:x:te=>',
  '<lora:x:clip=1>',
  '<lora:x:1:1:32>',
  '<lora:x:dyn=32>',
  '<lyco:>',
])('refuses %s', (tag) => {
  expect(() => takeLoraTags(`fox ${tag}`)).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(tag) }),
  );
});

it("refuses a hypernetwork's tag by its name", () => {
  expect(() => takeLoraTags('fox <hypernet:anime:0.5>')).toThrow(
    expect.objectContaining({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('<hypernet:anime:0.5>'),
    }),
  );
});
