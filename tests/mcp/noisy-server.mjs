// An MCP server process over the fake addon's networks, whose program prints to stdout in every way it can: the client
// must not see any of it. Arguments: folder, model file, query of the fake addon.
import { EngineClient } from '../../dist/engine/client.js';
import { claimStdout, runStdio } from '../../dist/mcp/stdio.js';
import { ImageService } from '../../dist/service/image-service.js';
import { readConfig } from '../../dist/shared/config.js';
import { silentLogger } from '../../dist/shared/log.js';

const [directory, model, behaviour] = process.argv.slice(2);
const stdout = claimStdout();
console.log('a library says hello');
const noise = setInterval(() => process.stdout.write('noise\n'), 5);
const config = readConfig({
  directory,
  env: {
    IMAGEFORGE_MODEL: model,
    IMAGEFORGE_MODEL_DIR: `${directory}/models`,
    HF_HOME: directory,
    OLLAMA_URL: 'http://127.0.0.1:2',
  },
});
const binding = new URL(`../unit/engine/fake-addon.mjs?${behaviour}`, import.meta.url).href;
const service = new ImageService({ config, confine: true, client: new EngineClient({ binding }) });
await runStdio(service, { stdout, logger: silentLogger, signal: new AbortController().signal });
clearInterval(noise);
await service.close();
