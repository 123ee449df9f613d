// LoRAs by name: where they are searched for, how strengths add up, and what the error for a missing one says.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { listLoras, loras, resolveLoras } from '../../../src/registry/loras.js';
import { findNamed } from '../../../src/registry/named-files.js';
import { readConfig } from '../../../src/shared/config.js';
import { makeFolder } from '../../folder.js';

const folder = makeFolder('loras');
const at = (...parts: string[]) => path.join(folder, ...parts);
for (const file of [
  'own/ink.safetensors',
  'models/loras/ink.safetensors',
  'models/loras/film/old.safetensors',
  'models/lcm.safetensors',
  'here.safetensors',
]) {
  mkdirSync(path.dirname(at(file)), { recursive: true });
  writeFileSync(at(file), '');
}
const read = (env: Record<string, string> = {}) =>
  readConfig({ directory: folder, env: { IMAGEFORGE_MODEL_DIR: at('models'), ...env } });

it('finds names in LORA_DIR, then in the model folder, with or without their extension', () => {
  expect(findNamed(loras, 'ink', read())).toBe(at('models/loras/ink.safetensors'));
  expect(findNamed(loras, 'ink.safetensors', read({ LORA_DIR: 'own' }))).toBe(at('own/ink.safetensors'));
  expect(findNamed(loras, 'film/old', read())).toBe(at('models/loras/film/old.safetensors'));
  expect(findNamed(loras, 'lcm', read())).toBe(at('models/lcm.safetensors'));
  for (const name of ['../here', at('here.safetensors'), 'film/../../../here', 'film', 'none'])
    expect(findNamed(loras, name, read()), name).toBeUndefined();
  expect(listLoras(read({ LORA_DIR: 'own' })).map(({ file }) => file)).toEqual([at('own/ink.safetensors')]);
});

it('adds up the strengths of a file, however it was named', () => {
  const wanted = [
    { path: 'ink', strength: 0.1 },
    { path: 'here.safetensors', strength: 0.5 },
    { path: at('models/loras/ink.safetensors'), strength: 0.2 },
    { path: 'lcm', strength: 1 },
    { path: 'lcm', strength: -1 },
  ];
  expect(resolveLoras(wanted, read())).toEqual([
    { path: at('models/loras/ink.safetensors'), strength: 0.3 },
    { path: at('here.safetensors'), strength: 0.5 },
  ]);
});

it('adds up the strengths for text encoders separately', () => {
  const wanted = [
    { path: 'ink', strength: 0.1, textStrength: 0.5 },
    { path: 'ink', strength: 0.2 },
    { path: 'lcm', strength: 0, textStrength: 0.4 },
    { path: 'here.safetensors', strength: 0.3, textStrength: 0.3 },
  ];
  expect(resolveLoras(wanted, read())).toEqual([
    { path: at('models/loras/ink.safetensors'), strength: 0.3, textStrength: 0.7 },
    { path: at('models/lcm.safetensors'), strength: 0, textStrength: 0.4 },
    { path: at('here.safetensors'), strength: 0.3 },
  ]);
});

it('says where it searched for a missing one', () => {
  expect(() => resolveLoras([{ path: 'none', strength: 1 }], read({ LORA_DIR: 'own' }))).toThrow(
    expect.objectContaining({
      code: 'NOT_FOUND',
      details: { lora: 'none', folders: [at('own'), at('models/loras'), at('models')] },
      message: expect.stringContaining(at('own')),
    }),
  );
});
