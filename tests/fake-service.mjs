// The compiled service over the fake addon's networks, for tests that run a server as a separate process.
import { EngineClient } from '../dist/engine/client.js';
import { ImageService } from '../dist/service/image-service.js';
import { readConfig } from '../dist/shared/config.js';
import { silentLogger } from '../dist/shared/log.js';

/** `args`: the folder, the model file, the query of the fake addon. */
export function openFakeService([directory, model, behaviour], { env = {}, logger = silentLogger } = {}) {
  const config = readConfig({
    directory,
    env: {
      ...env,
      IMAGEFORGE_MODEL: model,
      IMAGEFORGE_MODEL_DIR: `${directory}/models`,
      HF_HOME: directory,
      OLLAMA_URL: 'http://127.0.0.1:2',
    },
  });
  const binding = new URL(`./unit/engine/fake-addon.mjs?${behaviour}`, import.meta.url).href;
  return new ImageService({ config, logger, confine: true, client: new EngineClient({ binding }) });
}
