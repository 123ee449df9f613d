// The end-to-end SD 1.x case as a model that is ready to generate, for tests of the whole pipeline.
import { afterAll, beforeAll } from 'vitest';
import { loadAddon } from '../../src/native/binding.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { testDevice } from '../device.js';
import { goldenCase } from '../golden.js';
import { planSd1 } from '../golden-plans.js';

/** Opens the model before the tests of a suite and closes it after them; call the result in tests. */
export function useModel(path = goldenCase('e2e-sd1').weights()): () => LoadedModel {
  let loaded: LoadedModel | undefined;
  beforeAll(async () => {
    const engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    loaded = new LoadedModel(engine, { model: path }, await planSd1(path));
  });
  afterAll(async () => {
    await loaded?.close();
    await loaded?.engine.close();
  });
  return () => loaded!;
}
