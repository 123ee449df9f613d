// The autoencoders against their golden cases: SD, FLUX.1 and FLUX.2 in one piece and in tiles, and a tiny one.
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../../src/native/addon.js';
import { assertClose, element, type GoldenCase, goldenCase, toleranceOf } from '../golden.js';
import { readAutoencoder, readTinyAutoencoder } from '../golden-networks.js';
import { operations, withEngine } from './networks.js';

const cases = ['vae-sd', 'vae-flux1', 'vae-flux2'];

describe.each(operations)('autoencoder on $name', (chosen) => {
  test.each(cases)('%s', (name) =>
    withEngine(chosen, async (engine) => {
      const golden = goldenCase(name);
      const { config, weights } = await readAutoencoder(golden);
      const autoencoder = await engine.loadAutoencoder('autoencoder', config, weights);
      const { inputs, expected } = golden;
      const images = inputs.get('image')!;
      for (let i = 0; i < images.shape[0]!; i++) {
        const { mean, std } = await autoencoder.encode(element(images, i));
        expect(std === undefined).toBe(config.patchify === true);
        const noise = element(inputs.get('noise')!, i).data;
        const sample = std ? mean.data.map((value, n) => value + std.data[n]! * noise[n]!) : mean.data;
        const latent = element(expected.get('latent')!, i);
        expect(mean.shape).toEqual(latent.shape);
        assertClose(sample, latent.data, toleranceOf(golden, 'latent', chosen.precision));
      }
      const latents = inputs.get('latent_in')!;
      for (let i = 0; i < latents.shape[0]!; i++) {
        const decoded = await autoencoder.decodeFloat(element(latents, i));
        const answer = element(expected.get('decoded')!, i);
        expect(decoded.shape).toEqual(answer.shape);
        assertClose(decoded.data, answer.data, toleranceOf(golden, 'decoded', chosen.precision));
      }
    }),
  );
});

/** The same values over and over, up to this size. */
function enlarge({ data, shape }: Tensor, rows: number, columns: number): Tensor {
  const [channels, height, width] = shape as [number, number, number];
  const large = new Float32Array(channels * rows * columns);
  for (let i = 0; i < large.length; i++) {
    const [c, y, x] = [Math.floor(i / (rows * columns)), Math.floor(i / columns) % rows, i % columns];
    large[i] = data[(c * height + (y % height)) * width + (x % width)]!;
  }
  return { data: large, shape: [channels, rows, columns] };
}

/** Pixels for each cell of a latent. */
function factorOf({ inputs, expected }: GoldenCase): number {
  return inputs.get('image')!.shape[2]! / expected.get('latent')!.shape[2]!;
}

describe.each(operations)('autoencoder in tiles on $name', (chosen) => {
  // ggml's convolutions on the CPU take minutes for all three
  const tried = cases.filter((name) => chosen.kernels === 'on' || name === 'vae-flux1');
  test.each(tried)('%s gives what one piece gives', { timeout: 240_000 }, async (name) => {
    const golden = goldenCase(name);
    const factor = factorOf(golden);
    // small enough that the group statistics come from the whole picture: the tiles have to be exact
    const [rows, columns] = [128 / factor, 176 / factor];
    const { config, weights } = await readAutoencoder(golden);
    const image = enlarge(element(golden.inputs.get('image')!, 0), rows * factor, columns * factor);
    const latent = enlarge(element(golden.inputs.get('latent_in')!, 0), rows, columns);
    const results: { mean: Tensor; decoded: Tensor; lines: string[] }[] = [];
    for (const autoencoderBytes of [2 ** 40, 1]) {
      const lines: string[] = [];
      const onLog = (_: string, line: string) => lines.push(line);
      await withEngine(
        chosen,
        async (engine) => {
          const autoencoder = await engine.loadAutoencoder('autoencoder', config, weights);
          const { mean } = await autoencoder.encode(image);
          results.push({ mean, decoded: await autoencoder.decodeFloat(latent), lines });
        },
        { autoencoderBytes, onLog },
      );
    }
    const [whole, tiled] = results;
    expect(whole!.lines).toEqual([]);
    expect(tiled!.lines).toHaveLength(2);
    for (const line of tiled!.lines) expect(line).toMatch(/in ([2-9]|\d\d) tiles/);
    expect(tiled!.decoded.shape).toEqual(whole!.decoded.shape);
    for (const [found, answer, what] of [
      [tiled!.mean, whole!.mean, 'latent'],
      [tiled!.decoded, whole!.decoded, 'decoded'],
    ] as const)
      assertClose(found.data, answer.data, toleranceOf(golden, what, chosen.precision));
  });
});

describe.each(operations)('tiny autoencoder on $name', (chosen) => {
  const golden = goldenCase('tiny-autoencoder');

  test('encodes and decodes as the reference', () =>
    withEngine(chosen, async (engine) => {
      const { config, weights } = await readTinyAutoencoder(golden);
      const autoencoder = await engine.loadAutoencoder('tiny_autoencoder', config, weights);
      const { inputs, expected } = golden;
      const images = inputs.get('image')!;
      for (let i = 0; i < images.shape[0]!; i++) {
        const { mean, std } = await autoencoder.encode(element(images, i));
        expect(std).toBeUndefined();
        const latent = element(expected.get('latent')!, i);
        expect(mean.shape).toEqual(latent.shape);
        assertClose(mean.data, latent.data, toleranceOf(golden, 'latent', chosen.precision));
      }
      const latents = inputs.get('latent_in')!;
      for (let i = 0; i < latents.shape[0]!; i++) {
        const decoded = await autoencoder.decodeFloat(element(latents, i));
        const answer = element(expected.get('decoded')!, i);
        expect(decoded.shape).toEqual(answer.shape);
        assertClose(decoded.data, answer.data, toleranceOf(golden, 'decoded', chosen.precision));
      }
    }));

  test('a decoder by itself decodes, and says that it cannot encode', () =>
    withEngine(chosen, async (engine) => {
      const { config, weights } = await readTinyAutoencoder(golden);
      const tensors = weights.tensors.filter(({ name }) => name.startsWith('decoder.'));
      const autoencoder = await engine.loadAutoencoder('tiny_autoencoder', config, { ...weights, tensors });
      const channels = config.latentChannels;
      const latent: Tensor = { data: new Float32Array(channels * 4 * 6), shape: [channels, 4, 6] };
      const pixels = await autoencoder.decode(latent);
      expect([pixels.width, pixels.height, pixels.rgb.length]).toEqual([48, 32, 48 * 32 * 3]);
      const image = { rgb: new Uint8Array(48 * 32 * 3), width: 48, height: 32 };
      await expect(autoencoder.encode(image)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    }));
});
