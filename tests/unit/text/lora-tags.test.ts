// LoRA tags in prompts: what the WebUI's users write, and what must not pass as one.
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

it('leaves every other text as it is', () => {
  for (const prompt of ['', ' a  fox ', 'a < b', '<hypernet:x:1>', 'lora:x:1', '<lora:open', 'a <lora :x>'])
    expect(takeLoraTags(prompt)).toEqual({ prompt, loras: [] });
});

it('refuses tags that say nothing', () => {
  for (const prompt of [
    '<lora:>',
    '<lora::1>',
    '<lora:x:>',
    '<lora:x:much>',
    '<lora:x:1e9>',
    '<lora:x:0.5:0.7>',
  ])
    expect(() => takeLoraTags(`fox ${prompt}`), prompt).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(prompt) }),
    );
});
