// The networks that TypeScript describes are those that the addon computes, by the same names and for the same purpose.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  autoencoders,
  controlNets,
  denoisers,
  networks,
  textEncoders,
  upscalers,
} from '../../src/families/networks/index.js';
import type { Network } from '../../src/families/networks/network.js';
import type { Engine, Module, Weights } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';

type Load = (kind: string, config: object, weights: Weights) => Promise<Module>;

describe('the lists of networks', () => {
  let engine: Engine;
  beforeAll(() => {
    engine = new (loadAddon().Engine)({ device: 'cpu' });
  });
  afterAll(() => engine.close());

  it.each<[string, readonly Network[], (engine: Engine) => Load]>([
    ['denoisers', denoisers, (engine) => engine.loadDenoiser.bind(engine)],
    ['text encoders', textEncoders, (engine) => engine.loadTextEncoder.bind(engine)],
    ['autoencoders', autoencoders, (engine) => engine.loadAutoencoder.bind(engine)],
    ['ControlNets', controlNets, (engine) => engine.loadControlNet.bind(engine)],
    ['upscalers', upscalers, (engine) => engine.loadUpscaler.bind(engine)],
  ])('has the same %s on both sides', async (_, list, loader) => {
    const error = await loader(engine)('none such', {}, { files: [], tensors: [] }).catch(
      (error: unknown) => error as Error,
    );
    expect(error).toMatchObject({ code: 'UNSUPPORTED' });
    const native = /known are: (.*)$/.exec((error as Error).message)![1]!.split(', ');
    expect(list.map(({ kind }) => kind).sort()).toEqual(native.sort());
  });

  it('has every name and every layout of a network once', () => {
    const kinds = networks.map(({ kind }) => kind);
    expect(new Set(kinds).size).toBe(kinds.length);
    for (const { layouts } of networks) {
      expect(layouts.length).toBeGreaterThan(0);
      expect(new Set(layouts.map(({ name }) => name)).size).toBe(layouts.length);
    }
  });
});
