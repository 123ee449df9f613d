// An autoencoder whose decoder has other widths than its encoder, as FLUX.2's small decoder: each half does what it does
// in a file of its own kind.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { autoencoderToDiffusers } from '../../scripts/fixtures/sd-names.mjs';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import { findNetworks } from '../../src/families/find-networks.js';
import { readAutoencoderConfig } from '../../src/families/networks/autoencoder.js';
import { openSources } from '../../src/families/sources.js';
import { toWeights } from '../../src/families/tensors.js';
import type { Autoencoder, Engine, Tensor } from '../../src/native/addon.js';
import { makeFolder } from '../folder.js';
import { goldenCase } from '../golden.js';
import { operations, withEngine } from './networks.js';

type Tensors = Map<string, { dtype: string; shape: number[]; data: Buffer }>;

const { present, reason, path } = goldenCase('e2e-sd1');
const folder = makeFolder('autoencoder');

/** SD's decoder [32, 64, 32, 32] behind FLUX.1's encoder [32, 32, 32, 32], cut to SD's latent; and each with its own. */
function makeFiles(): Record<'mixed' | 'encoder' | 'decoder', Tensors> {
  const decoder: Tensors = fixtures.below(
    fixtures.readSafetensors(path('model.safetensors')),
    'first_stage_model.',
  );
  const flux: Tensors = fixtures.readSafetensors(path('../vae-flux1/ae.safetensors'));
  const halves = (tensors: Tensors, pattern: RegExp): Tensors =>
    fixtures.rename(tensors, (name: string) => (pattern.test(name) ? name : undefined));
  const first = halves(flux, /^encoder\./);
  for (const name of ['encoder.conv_out.weight', 'encoder.conv_out.bias'])
    first.set(name, fixtures.rows(first.get(name), 0, 8));
  const quants = halves(decoder, /quant_conv/);
  const narrow = halves(flux, /^decoder\./);
  narrow.set('decoder.conv_in.weight', fixtures.randomTensor(1, [32, 4, 3, 3], 0.1));
  return {
    mixed: fixtures.merge(first, halves(decoder, /^decoder\./), quants),
    encoder: fixtures.merge(first, narrow, quants),
    decoder,
  };
}

async function load(engine: Engine, name: string, tensors: Tensors): Promise<Autoencoder> {
  const model = join(folder, `${name}.safetensors`);
  fixtures.writeSafetensors(model, tensors);
  const [source] = await openSources({ model });
  const [network] = findNetworks(source!);
  const facts = { scale: 0.18215, shift: 0, normGroups: 32 };
  const config = readAutoencoderConfig(network!.tensors, model, facts);
  expect(config.channels).toEqual(name === 'encoder' ? [32, 32, 32, 32] : [32, 64, 32, 32]);
  expect(config.encoderChannels).toEqual(/mixed/.test(name) ? [32, 32, 32, 32] : undefined);
  return engine.loadAutoencoder('autoencoder', config, toWeights(network!.tensors));
}

const waves = (...shape: number[]): Tensor => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 0.7)),
  shape,
});

describe.skipIf(!present)(`a decoder of other widths ${reason}`, () => {
  test.each([
    ['LDM', (tensors: Tensors) => tensors],
    ['diffusers', autoencoderToDiffusers as (tensors: Tensors) => Tensors],
  ])('under the names of %s', (layout, rename) =>
    withEngine(operations[0]!, async (engine) => {
      const files = makeFiles();
      const mixed = await load(engine, `mixed-${layout}`, rename(files.mixed));
      const encoder = await load(engine, 'encoder', files.encoder);
      const decoder = await load(engine, 'decoder', files.decoder);
      const [image, latent] = [waves(3, 64, 48), waves(4, 8, 6)];
      expect((await mixed.encode(image)).mean).toEqual((await encoder.encode(image)).mean);
      expect(await mixed.decodeFloat(latent)).toEqual(await decoder.decodeFloat(latent));
    }),
  );
});
