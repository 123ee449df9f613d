// Whatever layout a model comes in, the networks compute the same: text states, a denoising step, a decoded latent.
import { describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { makeLayouts } from '../../scripts/fixtures/layouts.mjs';
import { planModel } from '../../src/families/index.js';
import type { FluxConfig } from '../../src/families/networks/flux.js';
import type { UnetConfig } from '../../src/families/networks/unet.js';
import type { ModelFiles } from '../../src/families/types.js';
import type { Tensor } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { testDevice } from '../device.js';
import { makeFolder } from '../folder.js';
import { goldenCase, relativeDifference } from '../golden.js';

const chosen = ['sd1', 'sd2', 'sdxl', 'flux', 'flux2', 'flux2-dev'];
const models: Record<string, Record<string, ModelFiles>> = makeLayouts(
  goldenCase,
  makeFolder('native-layouts'),
  chosen,
);

function waves(...shape: number[]): Tensor {
  return {
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7)),
    shape,
  };
}

/** A row of tokens; CLIP's begins and ends as its prompts do. */
function tokensFor(kind: string, vocab: number): Int32Array {
  if (kind === 'clip')
    return Int32Array.from({ length: 77 }, (_, i) =>
      i === 0 ? vocab - 2 : i < 9 ? 1000 + 37 * i : vocab - 1,
    );
  return Int32Array.from({ length: 24 }, (_, i) => 3 + 11 * i);
}

/** Text states and pooled vectors, the prediction for a fixed latent under a fixed context, and its decoded picture. */
async function compute(files: ModelFiles): Promise<Float32Array[]> {
  const plan = await planModel(files);
  const results: Float32Array[] = [];
  const engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
  try {
    for (const { kind, config, weights, layers } of plan.textEncoders) {
      const encoder = await engine.loadTextEncoder(kind, config, weights);
      const options = { layers, ...(kind === 'causal_lm' && { norm: false }) };
      const { hidden, pooled } = await encoder.encode(
        tokensFor(kind, (config as { vocab: number }).vocab),
        options,
      );
      results.push(...hidden.map(({ data }) => data));
      // SD 2.x's last block, which pooling runs through, is not in every layout
      if (pooled && plan.family !== 'sd2') results.push(pooled.data);
    }
    const { kind, config, weights } = plan.denoiser;
    const { contextWidth, vectorWidth } = config as UnetConfig | FluxConfig;
    const denoiser = await engine.loadDenoiser(kind, config, weights);
    const conditioning = await denoiser.condition({
      context: waves(kind === 'flux' ? 20 : 77, contextWidth),
      ...(vectorWidth > 0 && { vector: waves(vectorWidth) }),
      ...((config as FluxConfig).guidance && { guidance: 3.5 }),
    });
    const latent = waves(plan.latent.channels, 128 / plan.latent.factor, 96 / plan.latent.factor);
    const [predicted] = await denoiser.predict(latent, kind === 'flux' ? 0.5 : 500, [conditioning]);
    const { autoencoder } = plan;
    const decoder = await engine.loadAutoencoder(autoencoder.kind, autoencoder.config, autoencoder.weights);
    results.push(predicted!.data, (await decoder.decodeFloat(latent)).data);
  } finally {
    await engine.close();
  }
  return results;
}

/** How far apart layouts may be: some round weights, in others products round what goes into them. */
function limitOf(layout: string): number {
  if (layout === 'bf16') return 0.05;
  if (layout.endsWith('-values')) return 0.3;
  return layout.endsWith('-q8') ? 0.02 : 2e-3;
}

describe.each(chosen)('%s', (model) => {
  const [first, ...others] = Object.keys(models[model] ?? {});
  test.each(others)(`${first} and %s`, async (layout) => {
    const layouts = models[model]!;
    const expected = await compute(layouts[`${layout}-values`] ?? layouts[first!]!);
    const found = await compute(layouts[layout]!);
    const limit = limitOf(layout);
    for (const [i, values] of found.entries()) {
      expect(values.every(Number.isFinite)).toBe(true);
      expect(relativeDifference(values, expected[i]!)).toBeLessThan(limit);
    }
  });
});
