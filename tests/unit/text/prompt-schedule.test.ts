// Schedules by the WebUI's published rules, worked out by hand: [last step, text].
import { describe, expect, it } from 'vitest';
import { schedulePrompt, splitPrompts } from '../../../src/text/prompt-schedule.js';

const tenSteps = (prompt: string) => listed(prompt, { steps: 10 });
const listed = (prompt: string, steps: Parameters<typeof schedulePrompt>[1]) =>
  schedulePrompt(prompt, steps).map(({ until, text }) => [until, text]);

describe('schedulePrompt', () => {
  it.each<[string, [number, string][]]>([
    ['a plain prompt', [[10, 'a plain prompt']]],
    // From one text to another, from nothing, and to nothing.
    [
      'a [cat:dog:3] here',
      [
        [3, 'a cat here'],
        [10, 'a dog here'],
      ],
    ],
    [
      'a [dog:3] here',
      [
        [3, 'a  here'],
        [10, 'a dog here'],
      ],
    ],
    [
      'a [cat::3] here',
      [
        [3, 'a cat here'],
        [10, 'a  here'],
      ],
    ],
    // A share has a decimal point, a number of steps has none.
    [
      '[cat:dog:0.5]',
      [
        [5, 'cat'],
        [10, 'dog'],
      ],
    ],
    [
      '[cat:dog:.25]',
      [
        [2, 'cat'],
        [10, 'dog'],
      ],
    ],
    [
      '[cat:dog:1]',
      [
        [1, 'cat'],
        [10, 'dog'],
      ],
    ],
    ['[cat:dog:1.0]', [[10, 'cat']]],
    ['[cat:dog:0]', [[10, 'dog']]],
    ['[cat:dog:0.0]', [[10, 'dog']]],
    ['[cat:dog:-3]', [[10, 'dog']]],
    ['[cat:dog:25]', [[10, 'cat']]],
    [
      '[cat : dog : 4 ]',
      [
        [4, 'cat '],
        [10, ' dog '],
      ],
    ],
    // Nested.
    [
      '[cat:[dog:bird:7]:2]',
      [
        [2, 'cat'],
        [7, 'dog'],
        [10, 'bird'],
      ],
    ],
    [
      '[[cat:mouse:1]:dog:3]',
      [
        [1, 'cat'],
        [3, 'mouse'],
        [10, 'dog'],
      ],
    ],
    [
      '[(cat:1.2):dog:0.5]',
      [
        [5, '(cat:1.2)'],
        [10, 'dog'],
      ],
    ],
    [
      '([cat:dog:0.5]:1.2)',
      [
        [5, '(cat:1.2)'],
        [10, '(dog:1.2)'],
      ],
    ],
    [
      '[a:b:2] [c:d:0.5]',
      [
        [2, 'a c'],
        [5, 'b c'],
        [10, 'b d'],
      ],
    ],
    // Emphasis and plain text stay as they are.
    ['[cat] ((dog))', [[10, '[cat] ((dog))']]],
    ['a [cat', [[10, 'a [cat']]],
    ['[cat:dog]', [[10, '[cat:dog]']]],
    ['[a:b:c:3]', [[10, '[a:b:c:3]']]],
    [
      '(a] [cat:dog:3]',
      [
        [3, '(a] cat'],
        [10, '(a] dog'],
      ],
    ],
    ['[x :] [cat:dog:3', [[10, '[x :] [cat:dog:3']]],
    // An escaped bracket opens nothing, and the backslash stays for the emphasis parser.
    ['\\[cat:dog:3\\]', [[10, '\\[cat:dog:3\\]']]],
    [
      '[c\\:at:dog:3]',
      [
        [3, 'c\\:at'],
        [10, 'dog'],
      ],
    ],
    // A lone bar, or a backslash at the end, makes no schedule.
    ['a | b [cat:dog:3]', [[10, 'a | b [cat:dog:3]']]],
    ['[cat:dog:3] \\', [[10, '[cat:dog:3] \\']]],
    ['[cat|dog:3]', [[10, '[cat|dog:3]']]],
  ])('%s', (prompt, expected) => {
    expect(tenSteps(prompt)).toEqual(expected);
  });

  it.each<[string, string[]]>([
    ['[cat|dog]', ['cat', 'dog', 'cat', 'dog']],
    ['[a|b|c]', ['a', 'b', 'c', 'a']],
    ['[fe|]male', ['female', 'male', 'female', 'male']],
    ['[|a]', ['', 'a', '', 'a']],
    ['[a|(b:1.1)]', ['a', '(b:1.1)', 'a', '(b:1.1)']],
    ['[[a|b]:c:2]', ['a', 'b', 'c', 'c']],
    ['[a|[b:c:2]]', ['a', 'b', 'a', 'c']],
  ])('%s takes turns', (prompt, expected) => {
    expect(listed(prompt, { steps: 4 })).toEqual(expected.map((text, i) => [i + 1, text]));
  });

  it('keeps counting in a second pass: shares from 1.0, steps after those of the first', () => {
    const second = (prompt: string) => listed(prompt, { steps: 10, firstPassSteps: 20 });
    expect(second('a [b:.5] c')).toEqual([[10, 'a b c']]);
    expect(second('a [b:1.5] c')).toEqual([
      [5, 'a  c'],
      [10, 'a b c'],
    ]);
    expect(second('[cat:dog:15]')).toEqual([[10, 'dog']]);
    expect(second('[cat:dog:24]')).toEqual([
      [4, 'cat'],
      [10, 'dog'],
    ]);
    expect(second('[cat|dog]').slice(0, 2)).toEqual([
      [1, 'cat'],
      [2, 'dog'],
    ]);
  });

  it('handles brackets of any depth', () => {
    const deep = 100_000;
    const prompt = `${'('.repeat(deep)}x${')'.repeat(deep)}`;
    expect(listed(prompt, { steps: 1 })).toEqual([[1, prompt]]);
    expect(listed(`${'[a:'.repeat(deep)}x${':3]'.repeat(deep)}`, { steps: 5 })[0]).toEqual([3, 'a']);
  });
});

describe('splitPrompts', () => {
  it.each<[string, [string, number][]]>([
    ['a cat', [['a cat', 1]]],
    [
      'a cat AND a dog',
      [
        ['a cat', 1],
        [' a dog', 1],
      ],
    ],
    [
      'a cat :1.2 AND a dog AND a penguin : 2.2',
      [
        ['a cat', 1.2],
        [' a dog', 1],
        [' a penguin', 2.2],
      ],
    ],
    [
      'a AND b:-.5',
      [
        ['a', 1],
        [' b', -0.5],
      ],
    ],
    [
      'a AND (b:1.3)',
      [
        ['a', 1],
        [' (b:1.3)', 1],
      ],
    ],
    [
      'a AND b:c',
      [
        ['a', 1],
        [' b:c', 1],
      ],
    ],
    [
      'a AND ',
      [
        ['a', 1],
        ['', 1],
      ],
    ],
    ['ANDROID and SAND', [['ANDROID and SAND', 1]]],
    ['meet me at 10:30', [['meet me at 10:30', 1]]],
  ])('%s', (prompt, expected) => {
    expect(splitPrompts(prompt).map(({ text, weight }) => [text, weight])).toEqual(expected);
  });
});
