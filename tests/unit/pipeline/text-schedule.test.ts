import { describe, expect, it } from 'vitest';
import { describeWords, TextList } from '../../../src/pipeline/text-schedule.js';
import type { PromptSyntax } from '../../../src/shared/prompt-syntaxes.js';

describe('TextList', () => {
  it('keeps each text once, and knows which one a step uses', () => {
    const list = new TextList('webui', true);
    const schedule = list.schedule({ prompt: 'a [cat:dog:2]', negativePrompt: '[x|y]' }, { steps: 4 });
    list.schedule({ prompt: 'a dog', negativePrompt: 'y' }, { steps: 4 });
    expect(list.prompts).toEqual(['a cat', 'a dog']);
    expect(list.negativePrompts).toEqual(['x', 'y']);
    const texts = [0, 1, 2, 3].map((step) => {
      const { positives, negative } = schedule.at(step);
      return `${list.prompts[positives[0]!.place]}, ${list.negativePrompts[negative]}`;
    });
    expect(texts).toEqual(['a cat, x', 'a cat, y', 'a dog, x', 'a dog, y']);
    expect(list.combined).toBe(false);
  });

  it('gives each prompt that AND joins its own schedule and weight', () => {
    const list = new TextList('webui', true);
    const schedule = list.schedule({ prompt: '[a:b:1] :2 AND c', negativePrompt: '' }, { steps: 2 });
    expect(list.combined).toBe(true);
    expect([0, 1].map((step) => schedule.at(step).positives)).toEqual([
      [
        { place: 0, weight: 2 },
        { place: 2, weight: 1 },
      ],
      [
        { place: 1, weight: 2 },
        { place: 2, weight: 1 },
      ],
    ]);
    expect(list.prompts).toEqual(['a', 'b', ' c']);
  });

  it.each<[PromptSyntax, boolean]>([
    ['comfy', true],
    ['plain', true],
    ['webui', false],
  ])('leaves a prompt whole in %s syntax where the family reads it: %s', (syntax, readsSyntax) => {
    const list = new TextList(syntax, readsSyntax);
    list.schedule({ prompt: '[a|b] AND c', negativePrompt: '[d:0.5]' }, { steps: 9 });
    expect([list.prompts, list.negativePrompts]).toEqual([['[a|b] AND c'], ['[d:0.5]']]);
  });
});

describe('describeWords', () => {
  const describeFor = (prompt: string, syntax: PromptSyntax, readsSyntax: boolean) =>
    describeWords([{ prompt, negativePrompt: '' }], { syntax, readsSyntax, title: 'FLUX.1' });

  it('says that a weight in the middle of a prompt is lost', () => {
    expect(describeFor('a cat :0.5 here AND a dog :2', 'webui', true)).toEqual([
      ':0.5 is taken as words: the weight of a prompt that AND joins is the last thing in it.',
    ]);
  });

  it.each<[PromptSyntax, boolean]>([
    ['webui', true],
    ['plain', true],
    ['webui', false],
  ])('names tags that a negative prompt takes as words, in %s syntax', (syntax, readsSyntax) => {
    const pair = { prompt: 'a', negativePrompt: 'b <lora:x:0.5> <hypernet:y> <lora:x:0.5> <love>' };
    expect(describeWords([pair, pair], { syntax, readsSyntax, title: 'FLUX.1' })).toEqual([
      '<lora:x:0.5> is taken as words: only the prompt names LoRAs, not the negative one.',
      '<hypernet:y> is taken as words: only the prompt names LoRAs, not the negative one.',
    ]);
  });

  it.each([
    ['a [cat|dog]', '[cat|dog]'],
    ['a [cat:dog:0.5] in', '[cat:dog:0.5]'],
    ['a cat AND a dog', 'AND'],
    ['a BREAK b', 'BREAK'],
    ['a (fox:1.3)', '(fox:1.3)'],
    ['a ((fox))', '((fox))'],
  ])('names what a family without syntax takes as words: %s', (prompt, mark) => {
    expect(describeFor(prompt, 'webui', false)).toEqual([
      `${mark} is taken as words: FLUX.1 reads no prompt syntax.`,
    ]);
    expect(describeFor(prompt, 'plain', false)).toEqual([]);
  });

  it.each(['a fox (in the snow), [sic]', '{"a": ["b|c", "(x:1.2)"], "d": "AND"}', 'and break'])(
    'says nothing about ordinary text: %s',
    (prompt) => {
      expect(describeFor(prompt, 'webui', false)).toEqual([]);
      expect(describeFor(prompt, 'comfy', true)).toEqual([]);
    },
  );
});
