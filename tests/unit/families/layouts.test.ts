// Every published layout of a model gives the same plan for the same weights. The fixtures' converters and the families'
// names were written independently of each other.
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { makeLayouts } from '../../../scripts/fixtures/layouts.mjs';
// @ts-expect-error plain JavaScript
import { decode, transpose } from '../../../scripts/fixtures/tensors.mjs';
import { planModel } from '../../../src/families/index.js';
import type { ModelFiles, ModelPlan, NetworkPlan } from '../../../src/families/types.js';
import { makeFolder } from '../../folder.js';
import { goldenCase } from '../../golden.js';

const models: Record<string, Record<string, ModelFiles>> = makeLayouts(goldenCase, makeFolder('layouts'));

/** FNV-1a over the values' words, continued from `hash`. */
function mix(hash: number, values: Float32Array): number {
  const words = new Uint32Array(values.buffer);
  let mixed = hash;
  for (let i = 0; i < words.length; i++) mixed = Math.imul(mixed ^ words[i]!, 0x01000193);
  return mixed;
}

/** A hash of each tensor's values, to compare two networks. */
function fingerprints({ weights, config }: NetworkPlan): Record<string, number> {
  const found: Record<string, number> = {};
  const rows: Record<string, number> = {};
  const files = weights.files.map((path) => openSync(path, 'r'));
  for (const { name, file, offset, type, shape, row, scale } of weights.tensors) {
    const size = { f32: 4, f16: 2, bf16: 2, f8_e4m3: 1, f8_e5m2: 1, q8_0: 34 / 32 }[type]!;
    const data = Buffer.alloc(shape.reduce((a, b) => a * b, size));
    readSync(files[file]!, data, 0, data.length, offset);
    let tensor = { dtype: type.toUpperCase(), shape, data };
    if (name === 'text_projection.weight' && 'projectionTransposed' in config) tensor = transpose(tensor);
    expect(row).toBe(name in found ? rows[name] : row === undefined ? undefined : 0);
    if (row !== undefined) rows[name] = row + shape[0]!;
    const values: Float32Array = decode(tensor);
    found[name] = mix(
      found[name] ?? 0x811c9dc5,
      scale === undefined ? values : values.map((value) => value * scale),
    );
  }
  for (const file of files) closeSync(file);
  return found;
}

function networks(plan: ModelPlan): NetworkPlan[] {
  return [plan.denoiser, plan.autoencoder, ...plan.textEncoders];
}

/** The parts of a plan that must not differ between layouts. */
function facts({ kind, config }: NetworkPlan): object {
  const { projectionTransposed: _, layers: __, ...rest } = config as Record<string, unknown>;
  return { kind, ...rest };
}

/** Layouts with rounded values, which no other file shares. */
const isRounded = (layout: string) => layout === 'bf16' || layout.endsWith('-values');

describe.each(Object.keys(models))('%s', (model) => {
  const layouts = models[model]!;
  const [first, ...others] = Object.keys(layouts) as [string, ...string[]];
  const family = model.replace(/-dev$/, '');
  let whole: Record<string, number>[];

  beforeAll(async () => {
    whole = networks(await planModel(layouts[first]!)).map(fingerprints);
  });

  test.each(others)(`${first} and %s are the same model`, async (layout) => {
    const expected = await planModel(layouts[first]!);
    const found = await planModel(layouts[layout]!);
    const values = layouts[`${layout}-values`];
    const reference = values ? networks(await planModel(values)).map(fingerprints) : whole;
    expect(expected.family).toBe(family);
    expect(found).toMatchObject({ family, prediction: expected.prediction, latent: expected.latent });
    expect(networks(found).map(facts)).toEqual(networks(expected).map(facts));
    expect(found.textEncoders.map(({ layers }) => layers)).toEqual(
      expected.textEncoders.map(({ layers }) => layers),
    );
    for (const [i, network] of networks(found).entries()) {
      const prints = fingerprints(network);
      const wanted = reference[i]!;
      if (isRounded(layout)) expect(Object.keys(prints).sort()).toEqual(Object.keys(wanted).sort());
      // diffusers leaves out the last block of SD 2.x's text encoder.
      else if (family === 'sd2' && network.kind === 'clip') expect(wanted).toMatchObject(prints);
      else expect(prints).toEqual(wanted);
    }
  });
});

test('FP8 scales are found', async () => {
  const scaled = await planModel(models.sd1!['fp8-scaled']!);
  const matrices = scaled.denoiser.weights.tensors.filter(({ type }) => type === 'f8_e4m3');
  expect(matrices.length).toBeGreaterThan(100);
  expect(matrices.every(({ scale }) => scale !== undefined && scale > 0 && scale < 0.01)).toBe(true);
});

test('a missing shard is named', async () => {
  const folder = models.flux!['diffusers-folder']!.model;
  const shard = join(folder, 'transformer/diffusion_pytorch_model-00002-of-00002.safetensors');
  rmSync(shard);
  await expect(planModel({ model: folder })).rejects.toMatchObject({
    code: 'MODEL_INCOMPLETE',
    message: expect.stringContaining('00002-of-00002'),
  });
});
