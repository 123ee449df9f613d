// FLUX models with the same tensors but different defaults: only their names tell them apart.
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import type { ModelPlan } from '../../../src/families/types.js';
import { makeFolder } from '../../folder.js';
import { goldenCase } from '../../golden.js';
import { filesOfFlux2Dev, filesOfKlein, planFlux1 } from '../../golden-plans.js';

const folder = makeFolder('flux-defaults');

/** The same file under another name. */
function called(name: string, file: string): string {
  const path = join(folder, name);
  symlinkSync(file, path);
  return path;
}

const habitsOf = ({ defaults, references }: ModelPlan) => [
  defaults.steps,
  defaults.guidance,
  references?.most,
];

test('FLUX.1: dev, Kontext, schnell', async () => {
  const habits = async (name: string, caseName: string) => {
    const golden = goldenCase(caseName);
    return habitsOf(await planFlux1(golden, called(name, golden.weights())));
  };
  expect(await habits('flux1-dev.safetensors', 'flux1-dev')).toEqual([40, 7.5, 1]);
  expect(await habits('flux1-kontext-dev.safetensors', 'flux1-dev')).toEqual([28, 2.5, 1]);
  expect(await habits('flux1-schnell.safetensors', 'flux1-schnell')).toEqual([4, 1, undefined]);
});

test('FLUX.2: dev, klein and its base', async () => {
  const [klein, dev] = [filesOfKlein(), await filesOfFlux2Dev()];
  const habits = async (name: string, files: typeof dev) =>
    habitsOf(await planModel({ ...files, model: called(name, files.model) }));
  expect(await habits('flux-2-klein-4b.safetensors', klein)).toEqual([4, 1, 10]);
  expect(await habits('flux-2-klein-base-4b.safetensors', klein)).toEqual([50, 4, 10]);
  expect(await habits('database-klein.safetensors', klein)).toEqual([4, 1, 10]);
  expect(await habits('flux2-dev.safetensors', dev)).toEqual([50, 7.5, 10]);
});
