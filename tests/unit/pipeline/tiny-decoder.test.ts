// Previews by a tiny autoencoder: how latents shrink, and that a failed preview ends only the previews.
import { describe, expect, it } from 'vitest';
import type { Autoencoder, Engine, Tensor } from '../../../src/native/addon.js';
import { shrinkLatent, TinyDecoder } from '../../../src/pipeline/tiny-decoder.js';

describe('shrinkLatent', () => {
  const ramp = (...shape: number[]): Tensor => ({
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
    shape,
  });

  it('leaves a small latent as it is', () => {
    const latent = ramp(2, 4, 6);
    expect(shrinkLatent(latent, 6)).toBe(latent);
  });

  it('takes means of blocks, channel by channel', () => {
    const { data, shape } = shrinkLatent(ramp(2, 2, 4), 2);
    expect(shape).toEqual([2, 1, 2]);
    expect([...data]).toEqual([2.5, 4.5, 10.5, 12.5]);
  });

  it('drops the remainder, and keeps one row of a flat latent', () => {
    expect(shrinkLatent(ramp(1, 5, 5), 2).shape).toEqual([1, 1, 1]);
    const { data, shape } = shrinkLatent(ramp(1, 1, 8), 2);
    expect(shape).toEqual([1, 1, 2]);
    expect([...data]).toEqual([1.5, 5.5]);
  });
});

describe('a preview that fails', () => {
  async function open(error: Error) {
    let decoded = 0;
    const autoencoder = {
      decode: async () => {
        decoded++;
        throw error;
      },
    } as unknown as Autoencoder;
    const engine = { loadAutoencoder: async () => autoencoder } as unknown as Engine;
    const warnings: string[] = [];
    const plan = {
      kind: 'tiny_autoencoder',
      config: {},
      weights: { files: [], tensors: [] },
      bytes: 0,
      largest: 0,
    };
    const decoder = await TinyDecoder.open(engine, plan, { channels: 4 }, (message) =>
      warnings.push(message),
    );
    return { render: () => decoder.render(new Float32Array(16), 2, 2), warnings, count: () => decoded };
  }

  it('is the last one, and a warning says why', async () => {
    const { render, warnings, count } = await open(
      Object.assign(new Error('decode 2x2 needs 1 GB'), { code: 'OUT_OF_MEMORY' }),
    );
    expect(await render()).toBeUndefined();
    expect(await render()).toBeUndefined();
    expect(count()).toBe(1);
    expect(warnings).toEqual(['no more previews of this picture: decode 2x2 needs 1 GB']);
  });

  it('cancels the run if it was itself cancelled', async () => {
    const { render } = await open(Object.assign(new Error('aborted'), { code: 'ABORTED' }));
    await expect(render()).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
