import { describe, expect, it } from 'vitest';
import { applyStyles, findStyles, parseCsv, readStyles } from '../../../src/text/styles.js';

const style = (name: string, prompt: string, negativePrompt = '') => ({ name, prompt, negativePrompt });

describe('applyStyles', () => {
  const prompts = { prompt: 'a fox', negativePrompt: 'blurry' };

  it('puts a style around the prompt, or after it', () => {
    const around = applyStyles(prompts, [style('s', 'photo of {prompt}, sharp', '{prompt}, drawing')]);
    expect(around).toEqual({ prompt: 'photo of a fox, sharp', negativePrompt: 'blurry, drawing' });
    const behind = applyStyles(prompts, [style('s', 'oil on canvas', 'photo')]);
    expect(behind).toEqual({ prompt: 'a fox, oil on canvas', negativePrompt: 'blurry, photo' });
  });

  it('applies several in order, and leaves no comma for empty text', () => {
    const twice = applyStyles(prompts, [style('a', '{prompt} in snow'), style('b', 'cinematic')]);
    expect(twice).toEqual({ prompt: 'a fox in snow, cinematic', negativePrompt: 'blurry' });
    expect(applyStyles({ prompt: '', negativePrompt: '' }, [style('a', 'x', 'y')])).toEqual({
      prompt: 'x',
      negativePrompt: 'y',
    });
    expect(
      applyStyles({ prompt: 'costs $& and $1', negativePrompt: '' }, [style('a', '[{prompt}]')]).prompt,
    ).toBe('[costs $& and $1]');
  });
});

describe('readStyles', () => {
  it('reads the WebUI’s file', () => {
    const csv =
      '\ufeffname,prompt,negative_prompt\r\nOil,"oil, ""thick"" paint",\r\n\r\nTwo lines,"a\nb",ugly\r\n';
    expect(readStyles(csv, 'styles.csv')).toEqual([
      style('Oil', 'oil, "thick" paint'),
      style('Two lines', 'a\nb', 'ugly'),
    ]);
    expect(readStyles('name,text\nOld,old text', 'styles.csv')).toEqual([style('Old', 'old text')]);
  });

  it('reads lists and objects in JSON', () => {
    const list = '[{"name": "Oil", "prompt": "oil {prompt}", "negative_prompt": "photo"}]';
    expect(readStyles(list, 'a.json')).toEqual([style('Oil', 'oil {prompt}', 'photo')]);
    expect(readStyles('{"Oil": {"prompt": "oil"}}', 'a.json')).toEqual([style('Oil', 'oil')]);
  });

  it.each([
    ['a.csv', 'title,words\nx,y', /a\.csv: expected a first line with name,prompt/],
    ['a.csv', '', /found nothing/],
    ['a.json', '{', /a\.json: it is no JSON/],
    ['a.json', '[{"prompt": "x"}]', /expected a list/],
    ['a.json', '3', /expected a list/],
    ['a.json', '[3]', /expected a list/],
  ])('refuses %s that is %s', (file, text, message) => {
    expect(() => readStyles(text, file)).toThrow(message);
  });
});

it('finds styles by name, and lists the known ones', () => {
  const known = [style('Oil', 'o'), style('Ink', 'i')];
  expect(findStyles(['ink', 'Oil'], known, '/p').map(({ name }) => name)).toEqual(['Ink', 'Oil']);
  expect(() => findStyles(['Chalk'], known, '/p')).toThrow(/there is no style Chalk in \/p/);
  expect(() => findStyles(['Chalk'], known, '/p')).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', hint: 'Available: Oil, Ink.' }),
  );
});

it('parses rows of values', () => {
  expect(parseCsv('a,"b,""c""\nd",e\n,\nlast')).toEqual([['a', 'b,"c"\nd', 'e'], ['', ''], ['last']]);
  expect(parseCsv('')).toEqual([]);
});
