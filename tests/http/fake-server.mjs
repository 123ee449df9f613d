// The compiled HTTP server as a process of its own over the fake addon's networks; prints its address. Arguments:
// folder, model file, query of the fake addon.
import { serveUntilSignal } from '../../dist/cli/serve.js';
import { EngineClient } from '../../dist/engine/client.js';
import { ImageService } from '../../dist/service/image-service.js';
import { readConfig } from '../../dist/shared/config.js';
import { silentLogger } from '../../dist/shared/log.js';

const [directory, model, behaviour] = process.argv.slice(2);
const config = readConfig({
  directory,
  env: {
    ...process.env,
    PORT: '0',
    IMAGEFORGE_MODEL: model,
    IMAGEFORGE_MODEL_DIR: `${directory}/models`,
    HF_HOME: directory,
    OLLAMA_URL: 'http://127.0.0.1:2',
  },
});
const binding = new URL(`../unit/engine/fake-addon.mjs?${behaviour}`, import.meta.url).href;
const service = new ImageService({ config, confine: true, client: new EngineClient({ binding }) });
await serveUntilSignal(service, silentLogger, (url) => console.log(url));
