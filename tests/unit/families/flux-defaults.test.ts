// FLUX models with the same tensors and other habits: what tells them apart is what they are called.
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { makeFolder } from '../../folder.js';
import { goldenCase } from '../../golden.js';
import { planFlux1 } from './golden-plans.js';

const { present, reason } = goldenCase('flux1-dev');
const folder = makeFolder('flux-defaults');

function called(name: string, caseName: string): string {
  const file = join(folder, name);
  symlinkSync(goldenCase(caseName).path('model.safetensors'), file);
  return file;
}

test.skipIf(!present)(`FLUX.1: dev, Kontext, schnell ${reason}`, async () => {
  const habits = async (name: string, caseName: string) => {
    const { defaults, references } = await planFlux1(called(name, caseName));
    return [defaults.steps, defaults.guidance, references?.most];
  };
  expect(await habits('flux1-dev.safetensors', 'flux1-dev')).toEqual([40, 7.5, 1]);
  expect(await habits('flux1-kontext-dev.safetensors', 'flux1-dev')).toEqual([28, 2.5, 1]);
  expect(await habits('flux1-schnell.safetensors', 'flux1-schnell')).toEqual([4, 1, undefined]);
});

test.skipIf(!present)(`FLUX.2: dev, klein and its base ${reason}`, async () => {
  const vae = goldenCase('vae-flux2').path('flux2-vae.safetensors');
  const habits = async (name: string, caseName: string, llm: string) => {
    const { defaults, references } = await planModel({ model: called(name, caseName), vae, llm });
    return [defaults.steps, defaults.guidance, references?.most];
  };
  const qwen = goldenCase('flux2-text-qwen3').path('qwen3.safetensors');
  const mistral = goldenCase('flux2-text-mistral').path('mistral.safetensors');
  expect(await habits('flux-2-klein-4b.safetensors', 'flux2-klein', qwen)).toEqual([4, 1, 10]);
  expect(await habits('flux-2-klein-base-4b.safetensors', 'flux2-klein', qwen)).toEqual([50, 4, 10]);
  expect(await habits('database-klein.safetensors', 'flux2-klein', qwen)).toEqual([4, 1, 10]);
  expect(await habits('flux2-dev.safetensors', 'flux2-dev', mistral)).toEqual([50, 7.5, 10]);
});
