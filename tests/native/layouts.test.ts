// Whatever layout a model comes in, the networks compute the same: text states, a denoising step, a decoded latent.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { makeLayouts } from '../../scripts/fixtures/layouts.mjs';
import { planModel } from '../../src/families/index.js';
import type { ModelFiles } from '../../src/families/types.js';
import type { Tensor } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import type { UnetConfig } from '../../src/native/configs.js';
import { testDevice } from '../device.js';
import { goldenCase, goldenFolder } from '../golden.js';

const { present, reason } = goldenCase('e2e-sd1');
const out = mkdtempSync(join(tmpdir(), 'imageforge-native-layouts-'));
afterAll(() => rmSync(out, { recursive: true }));
const chosen = ['sd1', 'sd2', 'sdxl'];
const models: Record<string, Record<string, ModelFiles>> = present
  ? makeLayouts(goldenFolder, out, chosen)
  : {};

function waves(...shape: number[]): Tensor {
  return {
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7)),
    shape,
  };
}

/** Text states and pooled vectors, the prediction for a fixed latent under a fixed context, and its decoded picture. */
async function compute(files: ModelFiles): Promise<Float32Array[]> {
  const plan = await planModel(files);
  const results: Float32Array[] = [];
  const engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
  try {
    const tokens = Int32Array.from({ length: 77 }, (_, i) =>
      i === 0 ? 49406 : i < 9 ? 1000 + 37 * i : 49407,
    );
    for (const { kind, config, weights, layers } of plan.textEncoders) {
      const encoder = await engine.loadTextEncoder(kind, config, weights);
      const { hidden, pooled } = await encoder.encode(tokens, { layers });
      results.push(hidden[0]!.data);
      // SD 2.x's last block, which pooling runs through, is not in every layout
      if (pooled && plan.family === 'sdxl') results.push(pooled.data);
    }
    const { kind, config, weights } = plan.denoiser;
    const { contextWidth, vectorWidth } = config as UnetConfig;
    const denoiser = await engine.loadDenoiser(kind, config, weights);
    const conditioning = await denoiser.condition({
      context: waves(77, contextWidth),
      ...(vectorWidth > 0 && { vector: waves(vectorWidth) }),
    });
    const [predicted] = await denoiser.predict(waves(4, 16, 16), 500, [conditioning]);
    const { autoencoder } = plan;
    const decoder = await engine.loadAutoencoder(autoencoder.kind, autoencoder.config, autoencoder.weights);
    results.push(predicted!.data, (await decoder.decodeFloat(waves(4, 16, 16))).data);
  } finally {
    await engine.close();
  }
  return results;
}

function relativeDifference(found: Float32Array, expected: Float32Array): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return found.length === expected.length ? Math.sqrt(difference / size) : Infinity;
}

/** Layouts whose weights are rounded: what they are compared with, and how far they may be off. */
const rounded: Record<string, [reference: string, limit: number]> = {
  fp8: ['fp8-values', 2e-3],
  'fp8-scaled': ['ldm', 0.2],
  'fp8-values': ['ldm', 0.2],
  bf16: ['ldm', 0.05],
};

describe.skipIf(!present).each(chosen)(`%s ${reason}`, (model) => {
  const layouts = Object.keys(models[model] ?? {}).filter((layout) => layout !== 'ldm');
  test.each(layouts)('ldm and %s', async (layout) => {
    const [reference, limit] = rounded[layout] ?? ['ldm', 2e-3];
    const expected = await compute(models[model]![reference]!);
    const found = await compute(models[model]![layout]!);
    for (const [i, values] of found.entries()) {
      expect(values.every(Number.isFinite)).toBe(true);
      expect(relativeDifference(values, expected[i]!)).toBeLessThan(limit);
    }
  });
});
