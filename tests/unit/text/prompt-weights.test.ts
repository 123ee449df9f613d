import { describe, expect, it } from 'vitest';
import { isBreak, parsePromptWeights, requireUsableWeights } from '../../../src/text/prompt-weights.js';
import { goldenCase } from '../../golden.js';

const golden = goldenCase('clip-tokenizer');

describe('prompt weights against the reference parses', () => {
  const cases = golden.json<{ prompt: string; parsed: [string, number][] }[]>('weights.json');

  it.each(cases)('$prompt', ({ prompt, parsed }) => {
    const pieces = parsePromptWeights(prompt);
    expect(pieces.map(({ text }) => text)).toEqual(parsed.map(([text]) => text));
    for (const [i, [, weight]] of parsed.entries()) expect(pieces[i]!.weight).toBeCloseTo(weight, 9);
  });
});

describe('prompt weights', () => {
  it('takes a malformed number as text', () => {
    expect(parsePromptWeights('(a:1.2.3)')).toEqual([{ text: 'a:1.2.3', weight: 1.1 }]);
  });

  it('tells BREAK from the word in lower case', () => {
    expect(parsePromptWeights('a break BREAK b').map(isBreak)).toEqual([false, true, false]);
  });

  it('stays linear in the number of brackets', () => {
    expect(parsePromptWeights(`${'('.repeat(20_000)}x${')'.repeat(20_000)}`)[0]!.text).toBe('x');
  });
});

describe('requireUsableWeights', () => {
  it.each([`${'('.repeat(4000)}fox${')'.repeat(4000)}`, `(fox:${'9'.repeat(400)})`, '(((a:100):-100):1000)'])(
    'refuses emphasis that leaves no numbers',
    (prompt) => {
      expect(() => requireUsableWeights(parsePromptWeights(prompt))).toThrow(
        expect.objectContaining({
          code: 'INVALID_ARGUMENT',
          message: expect.stringContaining('expected weights of at most 1000000'),
        }),
      );
    },
  );

  it.each(['(fox:1000) [[owl:-3]]', `${'['.repeat(9000)}a`])(
    'bears strong and vanishing emphasis',
    (prompt) => {
      expect(() => requireUsableWeights(parsePromptWeights(prompt))).not.toThrow();
    },
  );
});
