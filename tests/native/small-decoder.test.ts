// An autoencoder whose decoder has other widths than its encoder, as FLUX.2's small decoder has: each half gives what it
// gives in a file whose halves are equally wide.
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

interface Stated {
  block_out_channels: number[];
  latent_channels: number;
  scaling_factor: number;
  shift_factor: number;
  norm_groups: number;
}

const sd = goldenCase('vae-sd');
const flux = goldenCase('vae-flux1');
const stated = sd.config<Stated>();
const latentChannels = stated.latent_channels;
const folder = makeFolder('autoencoder');

/** SD's decoder behind FLUX.1's encoder, whose latent is cut to SD's; and each of the two with a half of its own. */
function makeFiles(): Record<'mixed' | 'encoder' | 'decoder', Tensors> {
  const decoder: Tensors = fixtures.below(fixtures.readSafetensors(sd.weights()), 'first_stage_model.');
  const tensors: Tensors = fixtures.readSafetensors(flux.weights());
  const halves = (from: Tensors, pattern: RegExp): Tensors =>
    fixtures.rename(from, (name: string) => (pattern.test(name) ? name : undefined));
  const first = halves(tensors, /^encoder\./);
  for (const name of ['encoder.conv_out.weight', 'encoder.conv_out.bias'])
    first.set(name, fixtures.rows(first.get(name), 0, 2 * latentChannels));
  const quants = halves(decoder, /quant_conv/);
  const narrow = halves(tensors, /^decoder\./);
  const [channels] = narrow.get('decoder.conv_in.weight')!.shape;
  const shape = [channels, latentChannels, 3, 3];
  narrow.set('decoder.conv_in.weight', fixtures.randomTensor(1, shape, 0.1));
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
  const { scaling_factor: scale, shift_factor: shift, norm_groups: normGroups } = stated;
  const facts = { scale, shift, normGroups };
  const config = readAutoencoderConfig(network!.tensors, model, facts);
  const ofFlux = flux.config<Stated>().block_out_channels;
  expect(config.channels).toEqual(name === 'encoder' ? ofFlux : stated.block_out_channels);
  expect(config.encoderChannels).toEqual(/mixed/.test(name) ? ofFlux : undefined);
  return engine.loadAutoencoder('autoencoder', config, toWeights(network!.tensors));
}

const waves = (...shape: number[]): Tensor => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 0.7)),
  shape,
});

describe('a decoder of other widths', () => {
  test.each([
    ['LDM', (tensors: Tensors) => tensors],
    ['diffusers', autoencoderToDiffusers as (tensors: Tensors) => Tensors],
  ])('under the names of %s', (layout, rename) =>
    withEngine(operations[0]!, async (engine) => {
      const files = makeFiles();
      const mixed = await load(engine, `mixed-${layout}`, rename(files.mixed));
      const encoder = await load(engine, 'encoder', files.encoder);
      const decoder = await load(engine, 'decoder', files.decoder);
      const [image, latent] = [waves(3, 64, 48), waves(latentChannels, 8, 6)];
      expect((await mixed.encode(image)).mean).toEqual((await encoder.encode(image)).mean);
      expect(await mixed.decodeFloat(latent)).toEqual(await decoder.decodeFloat(latent));
    }),
  );
});
