// Tiny autoencoders in the pipeline: every layout of the file decodes alike, previews and finished pictures are what it
// makes of the latents, and FLUX.2's packed latents reach it unpacked.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import { findNetworks } from '../../src/families/find-networks.js';
import { planModel } from '../../src/families/index.js';
import { readTinyAutoencoderConfig } from '../../src/families/networks/tiny-autoencoder.js';
import { openSources } from '../../src/families/sources.js';
import { toWeights } from '../../src/families/tensors.js';
import { planTinyAutoencoder } from '../../src/families/tiny-autoencoder.js';
import type { Engine, Pixels } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { testDevice } from '../device.js';
import { makeFolder } from '../folder.js';
import { assertClose, element, goldenCase, toleranceOf } from '../golden.js';
import { filesOfKlein, planSd1 } from '../golden-plans.js';
import { tinyAutoencoderShapes } from '../unit/weights/make-files.js';
import { operations, withEngine } from './networks.js';

const { decode: toFloats, randomTensor, readSafetensors, rename, writeSafetensors } = fixtures;
const scratch = makeFolder('tiny');
const ours = operations[0]!;
const golden = goldenCase('tiny-autoencoder');

function expectDecoded(found: Float32Array): void {
  const answer = element(golden.expected.get('decoded')!, 0);
  assertClose(found, answer.data, toleranceOf(golden, 'decoded', ours.precision));
}

describe('layouts', () => {
  const place = (name: string) => /^(encoder|decoder)\.(\d+)\.(.+)$/.exec(name)!;
  const renames: Record<string, (name: string) => string | undefined> = {
    'TAESD decoder': (name) => (name.startsWith('decoder.') ? name.slice('decoder.'.length) : undefined),
    diffusers: (name) => {
      const [, half, at, rest] = place(name);
      return `${half}.layers.${Number(at) - (half === 'decoder' ? 1 : 0)}.${rest}`;
    },
    TAESD: (name) => name,
  };

  it.each(Object.keys(renames))('%s names', (layout) =>
    withEngine(ours, async (engine) => {
      const path = join(scratch, `${layout}.safetensors`);
      writeSafetensors(path, rename(readSafetensors(golden.weights()), renames[layout]!));
      const [source] = await openSources({ model: path });
      const [network, ...others] = findNetworks(source!);
      expect(others).toEqual([]);
      expect(network).toMatchObject({ kind: 'tiny_autoencoder', layout });
      const config = readTinyAutoencoderConfig(network!.tensors, path);
      const weights = toWeights(network!.tensors);
      const tiny = await engine.loadAutoencoder('tiny_autoencoder', config, weights);
      expectDecoded((await tiny.decodeFloat(element(golden.inputs.get('latent_in')!, 0))).data);
    }),
  );
});

describe('FLUX.2', () => {
  it('unpacks its latents for the tiny decoder', () =>
    withEngine(ours, async (engine) => {
      const files = filesOfKlein();
      const plan = await planModel(files);
      const latent = element(golden.inputs.get('latent_in')!, 0);
      const [, rows, columns] = latent.shape as [number, number, number];
      const large = readSafetensors(files.vae);
      const mean: Float32Array = toFloats(large.get('bn.running_mean'));
      const variance: Float32Array = toFloats(large.get('bn.running_var'));
      const { batch_norm_eps } = goldenCase('vae-flux2').config<{ batch_norm_eps: number }>();
      const [high, wide] = [rows / 2, columns / 2];
      const packed = new Float32Array(latent.data.length);
      for (let i = 0; i < packed.length; i++) {
        const [x, y, c] = [i % wide, Math.floor(i / wide) % high, Math.floor(i / wide / high)];
        const [channel, down, across] = [c >> 2, (c >> 1) & 1, c & 1];
        const value = latent.data[(channel * rows + 2 * y + down) * columns + 2 * x + across]!;
        packed[i] = (value - mean[c]!) / Math.sqrt(variance[c]! + batch_norm_eps);
      }
      const { kind, config, weights } = await planTinyAutoencoder(golden.weights(), plan);
      const tiny = await engine.loadAutoencoder(kind, config, weights);
      expectDecoded((await tiny.decodeFloat({ data: packed, shape: [mean.length, high, wide] })).data);
    }));
});

describe('Stable Diffusion', () => {
  let engine: Engine;
  let model: LoadedModel;
  const tae = join(scratch, 'taesd.safetensors');

  beforeAll(async () => {
    const plan = await planSd1();
    const tensors = Object.entries(tinyAutoencoderShapes(plan.latent.channels)).map(([name, shape], i) => {
      const inputs = shape.slice(1).reduce((a, b) => a * b, 1);
      return [name, randomTensor(i, shape, name.endsWith('bias') ? 0.1 : inputs ** -0.5)] as const;
    });
    writeSafetensors(tae, new Map(tensors));
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    model = new LoadedModel(engine, { model: goldenCase('e2e-sd1').weights() }, plan);
  });
  afterAll(async () => {
    await model?.close();
    await engine?.close();
  });

  async function run(change: Partial<GenerationOptions>) {
    const asked = { prompt: 'a fox', width: 128, height: 64, steps: 3, seed: 7, sampler: 'euler' };
    const request = resolveRequest({ ...asked, ...change }, model.files, model.plan);
    const denoised: Float32Array[] = [];
    const latents: Float32Array[] = [];
    const previews: Pixels[] = [];
    const { images } = await generate(model, request, {
      onStep: (_, _x, latent) => denoised.push(latent.slice()),
      onLatent: (_, latent) => latents.push(latent.slice()),
      onProgress: ({ preview }) => preview && previews.push(preview),
    });
    return { images, denoised, latents, previews };
  }

  async function decode(data: Float32Array, shape = [model.plan.latent.channels, 8, 16]): Promise<Pixels> {
    const { kind, config, weights } = await planTinyAutoencoder(tae, model.plan);
    const tiny = await engine.loadAutoencoder(kind, config, weights);
    const pixels = await tiny.decode({ data, shape });
    await tiny.close();
    return pixels;
  }

  it.each(['full', 'offload', 'stream'] as const)('draws previews in memory mode %s', async (memoryMode) => {
    const plain = await run({ memoryMode });
    const { images, denoised, previews } = await run({ memoryMode, tae, previewEvery: 1 });
    expect(images).toEqual(plain.images);
    expect(previews).toHaveLength(3);
    for (const [i, preview] of previews.entries()) expect(preview).toEqual(await decode(denoised[i]!));
    expect(previews[0]).not.toEqual(previews[2]);
  });

  it('draws the finished picture where that was asked for, and the large autoencoder is never loaded', async () => {
    await model.close();
    const before = engine.memory().weights;
    const { images, latents, previews } = await run({ memoryMode: 'full', tae, fastDecode: true });
    expect(previews).toEqual([]);
    expect(images[0]!.pixels).toEqual(await decode(latents[0]!));
    const { textEncoders, denoiser, autoencoder } = model.plan;
    const others = [...textEncoders, denoiser].reduce((sum, { bytes }) => sum + bytes, 0);
    expect(autoencoder.bytes).toBeGreaterThan(10_000);
    expect(engine.memory().weights - before).toBeLessThan(others + autoencoder.bytes / 2);
  });

  it('shrinks large latents for previews', async () => {
    const { previews } = await run({ tae, previewEvery: 3, width: 640, height: 192 });
    expect(previews.map(({ width, height }) => [width, height])).toEqual([[320, 96]]);
  });

  it('draws previews with a tiny autoencoder in the large one’s place', async () => {
    const files = { ...model.files, vae: tae };
    const { heads: textHeads } = goldenCase('e2e-sd1').config<{ heads: number }>('text');
    const plan = { ...(await planModel(files, { textHeads })), denoiser: model.plan.denoiser };
    const other = new LoadedModel(engine, files, plan);
    const asked = { prompt: 'a fox', width: 128, height: 64, steps: 2, seed: 7, previewEvery: 2 };
    const denoised: Float32Array[] = [];
    const previews: Pixels[] = [];
    await generate(other, resolveRequest(asked, files, other.plan), {
      onStep: (_, _x, latent) => denoised.push(latent.slice()),
      onProgress: ({ preview }) => preview && previews.push(preview),
    });
    await other.close();
    expect(previews).toEqual([await decode(denoised[1]!)]);
  });
});
