// A golden checkpoint as a model that is ready to generate, for tests of the whole pipeline.
import { afterAll, beforeAll } from 'vitest';
import { planModel } from '../../src/families/index.js';
import { loadAddon } from '../../src/native/binding.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { testDevice } from '../device.js';

/** Opens an SD 1.x checkpoint before the tests of a suite and closes it after them; call the result in tests. */
export function useModel(model: () => string): () => LoadedModel {
  let loaded: LoadedModel | undefined;
  beforeAll(async () => {
    const files = { model: model() };
    const engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    loaded = new LoadedModel(engine, files, await planModel(files, { textHeads: 2 }));
  });
  afterAll(async () => {
    await loaded?.close();
    await loaded?.engine.close();
  });
  return () => loaded!;
}
