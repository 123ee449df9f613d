import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  type AskedPrompts,
  expandFromLibrary,
  listStyles,
  openWildcards,
} from '../../../src/registry/prompt-library.js';
import { makeFolder } from '../../folder.js';

let promptDir: string;
beforeEach(() => {
  promptDir = path.join(makeFolder('prompts'), 'prompts');
  write('wildcards/colour.txt', 'red\n# not this\n\nblue');
  write('wildcards/animals/cat.txt', 'lynx');
  write('wildcards/lora.txt', 'a <lora:one> fox\na <lora:two:0.5> fox');
  write('wildcards/notes.md', 'no wildcard');
  write('secret.txt', 'secret');
  write('styles.csv', 'name,prompt,negative_prompt\nOil,"{prompt}, oil, __colour__",photo');
  write('styles/more.json', '[{"name": "Ink", "prompt": "ink"}, {"name": "Oil", "prompt": "another"}]');
});

function write(name: string, text: string): void {
  const file = path.join(promptDir, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}

const folders = () => ({ promptDir, modelDir: '/nowhere' });
const expand = (asked: Partial<AskedPrompts>) =>
  expandFromLibrary(
    { prompt: '', negativePrompt: '', styles: [], seeds: [1], syntax: 'webui', ...asked },
    folders(),
  );

describe('openWildcards', () => {
  it('lists the text files of the folder and its subfolders', () => {
    expect([...openWildcards(folders()).names()].sort()).toEqual(['animals/cat', 'colour', 'lora']);
    expect(openWildcards(folders()).read('colour')).toEqual(['red', 'blue']);
  });

  it('looks in the model folder if PROMPT_DIR is not set', () => {
    const own = openWildcards({ promptDir: '', modelDir: promptDir });
    expect(own.folder).toBe(path.join(promptDir, 'wildcards'));
    expect(own.names()).toHaveLength(3);
    expect(openWildcards({ promptDir: '', modelDir: '/nowhere' }).names()).toEqual([]);
  });

  it.each(['__animals/../../secret__', '__a/../../../etc/passwd__', '__notes__', '__secret__'])(
    'keeps every name inside the folder: %s',
    (prompt) => {
      expect(() => expand({ prompt })).toThrow(/is no wildcard/);
    },
  );
});

describe('expandFromLibrary', () => {
  it('makes one pair of prompts per seed, with styles first', () => {
    const { pictures, expanded } = expand({ prompt: 'a fox', styles: ['Oil'], seeds: [1, 2, 3, 4, 5, 6] });
    expect(expanded).toBe(true);
    expect(new Set(pictures.map(({ prompt }) => prompt))).toEqual(
      new Set(['a fox, oil, red', 'a fox, oil, blue']),
    );
    expect(pictures[0]!.negativePrompt).toBe('photo');
  });

  it('leaves a plain prompt as it is', () => {
    expect(expand({ prompt: 'a fox', negativePrompt: 'blurry', seeds: [1, 2] })).toEqual({
      pictures: Array(2).fill({ prompt: 'a fox', negativePrompt: 'blurry' }),
      loras: [],
      expanded: false,
    });
  });

  it('takes LoRA tags from the choices, which must be the same for all pictures', () => {
    expect(expand({ prompt: '{a <lora:one>|a <lora:one>} fox' })).toMatchObject({
      pictures: [{ prompt: 'a  fox' }],
      loras: [{ path: 'one', strength: 1 }],
    });
    expect(() => expand({ prompt: '__lora__', seeds: [1, 2, 3, 4, 5, 6, 7, 8] })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('other LoRAs') }),
    );
  });

  it('takes the first style of a name, and refuses an unknown one', () => {
    expect(listStyles(folders()).map(({ name }) => name)).toEqual(['Oil', 'Ink']);
    expect(listStyles(folders())[0]!.prompt).toBe('{prompt}, oil, __colour__');
    expect(() => expand({ styles: ['Chalk'] })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', hint: 'Available: Oil, Ink.' }),
    );
  });
});
