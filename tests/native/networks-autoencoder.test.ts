// The autoencoders against their golden cases: SD, FLUX.1 and FLUX.2, and the tiny one with its trained weights.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import type { AutoencoderConfig } from '../../src/families/networks/autoencoder.js';
import type { TinyAutoencoderConfig } from '../../src/families/networks/tiny-autoencoder.js';
import type { Tensors } from '../../src/families/tensors.js';
import type { Tensor } from '../../src/native/addon.js';
import { assertClose, element, goldenCase, goldenFolder, toleranceOf } from '../golden.js';
import { operations, weightsFrom, withEngine } from './networks.js';

const common = { resBlocks: 2, normGroups: 32 };
const variants: { golden: string; file: string; prefix: string; config: AutoencoderConfig }[] = [
  {
    golden: 'vae-sd',
    file: '../e2e-sd1/model.safetensors',
    prefix: 'first_stage_model.',
    config: {
      ...common,
      channels: [32, 64, 32, 32],
      latentChannels: 4,
      scale: 0.18215,
      shift: 0,
      quantConv: true,
    },
  },
  {
    golden: 'vae-flux1',
    file: 'ae.safetensors',
    prefix: '',
    config: {
      ...common,
      channels: [32, 32, 32, 32],
      latentChannels: 16,
      scale: 0.3611,
      shift: 0.1159,
      quantConv: false,
    },
  },
  {
    golden: 'vae-flux2',
    file: 'flux2-vae.safetensors',
    prefix: '',
    config: {
      ...common,
      channels: [32, 32, 32, 32],
      latentChannels: 32,
      scale: 1,
      shift: 0,
      quantConv: true,
      patchify: true,
    },
  },
];

describe.each(operations)('autoencoder on $name', (chosen) => {
  for (const { golden: name, file, prefix, config } of variants) {
    const golden = goldenCase(name);
    test.skipIf(!golden.present)(`${name} ${golden.reason}`, () =>
      withEngine(chosen, async (engine) => {
        const weights = await weightsFrom(golden.path(file), prefix, quantConvsToRoot);
        const autoencoder = await engine.loadAutoencoder('autoencoder', config, weights);
        const inputs = golden.tensors('inputs.safetensors');
        const expected = golden.tensors('expected.safetensors');
        for (let i = 0; i < 2; i++) {
          const { mean, std } = await autoencoder.encode(element(inputs.get('image')!, i));
          expect(std === undefined).toBe(config.patchify === true);
          const noise = element(inputs.get('noise')!, i).data;
          const sample = std ? mean.data.map((value, n) => value + std.data[n]! * noise[n]!) : mean.data;
          const latent = element(expected.get('latent')!, i);
          expect(mean.shape).toEqual(latent.shape);
          assertClose(sample, latent.data, toleranceOf(golden, 'latent', chosen.precision));

          const decoded = await autoencoder.decodeFloat(element(inputs.get('latent_in')!, i));
          const answer = element(expected.get('decoded')!, i);
          expect(decoded.shape).toEqual(answer.shape);
          assertClose(decoded.data, answer.data, toleranceOf(golden, 'decoded', chosen.precision));
        }
      }),
    );
  }
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

describe.each(operations)('autoencoder in tiles on $name', (chosen) => {
  // ggml's convolutions on the CPU take minutes for all three
  const tried = variants.filter(({ golden }) => chosen.kernels === 'on' || golden === 'vae-flux1');
  for (const { golden: name, file, prefix, config } of tried) {
    const golden = goldenCase(name);
    // Small enough that group statistics come from all of the picture: the tiles have to be exact.
    const [rows, columns] = config.patchify ? [8, 11] : [16, 22];
    test.skipIf(!golden.present)(
      `${name} as in one piece ${golden.reason}`,
      { timeout: 240_000 },
      async () => {
        const weights = await weightsFrom(golden.path(file), prefix, quantConvsToRoot);
        const inputs = golden.tensors('inputs.safetensors');
        const factor = config.patchify ? 16 : 8;
        const image = enlarge(element(inputs.get('image')!, 0), rows! * factor, columns! * factor);
        const latent = enlarge(element(inputs.get('latent_in')!, 0), rows!, columns!);
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
        assertClose(tiled!.mean.data, whole!.mean.data, toleranceOf(golden, 'latent', chosen.precision));
        assertClose(
          tiled!.decoded.data,
          whole!.decoded.data,
          toleranceOf(golden, 'decoded', chosen.precision),
        );
      },
    );
  }
});

/** FLUX.2's file has them inside its halves. */
function quantConvsToRoot(tensors: Tensors): Tensors {
  return new Map(
    [...tensors].map(([name, view]) => [name.replace(/^(en|de)coder\.(?=(post_)?quant_)/, ''), view]),
  );
}

const tiny = resolve(goldenFolder, '../weights/taef2');
const tinyReason = existsSync(tiny) ? '' : `(skipped: no ${tiny})`;
describe.skipIf(tinyReason).each(operations)(`tiny autoencoder on $name ${tinyReason}`, (chosen) => {
  const config: TinyAutoencoderConfig = { width: 64, latentChannels: 32, pooled: true };
  const golden = goldenCase('../weights/taef2');

  test('a photograph through the trained weights', { timeout: 240_000 }, () =>
    withEngine(chosen, async (engine) => {
      const weights = await weightsFrom(join(tiny, 'taef2.safetensors'), '');
      const autoencoder = await engine.loadAutoencoder('tiny_autoencoder', config, weights);
      const expected = golden.tensors('expected.safetensors');
      const picture = await sharp(join(tiny, 'picture.png'))
        .removeAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true });
      const { width, height } = picture.info;

      const { mean, std } = await autoencoder.encode({ rgb: new Uint8Array(picture.data), width, height });
      expect(std).toBeUndefined();
      const latent = element(expected.get('latent')!, 0);
      assertClose(mean.data, latent.data, toleranceOf(golden, 'latent', 'f16_gemm'));

      const decoded = await autoencoder.decodeFloat(latent);
      const answer = element(expected.get('decoded')!, 0).data.map((value) => value * 2 - 1);
      assertClose(decoded.data, answer, toleranceOf(golden, 'decoded', 'f16_gemm'));
    }),
  );

  test('a decoder by itself decodes and says that it cannot encode', () =>
    withEngine(chosen, async (engine) => {
      const weights = await weightsFrom(join(tiny, 'taef2.safetensors'), '', (tensors) => {
        return new Map([...tensors].filter(([name]) => name.startsWith('decoder.')));
      });
      const autoencoder = await engine.loadAutoencoder('tiny_autoencoder', config, weights);
      const latent: Tensor = { data: new Float32Array(32 * 4 * 6), shape: [32, 4, 6] };
      const pixels = await autoencoder.decode(latent);
      expect([pixels.width, pixels.height, pixels.rgb.length]).toEqual([48, 32, 48 * 32 * 3]);
      const image = { rgb: new Uint8Array(48 * 32 * 3), width: 48, height: 32 };
      await expect(autoencoder.encode(image)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    }));
});
