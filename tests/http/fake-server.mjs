// Runs the compiled HTTP server over the fake addon's networks and prints its address. Arguments: folder, model file,
// query of the fake addon.
import { serveUntilSignal } from '../../dist/cli/serve.js';
import { createJsonLogger } from '../../dist/shared/log.js';
import { openFakeService } from '../fake-service.mjs';

const logger = await createJsonLogger(process.env.LOG_LEVEL ?? 'silent');
const service = openFakeService(process.argv.slice(2), { env: { ...process.env, PORT: '0' }, logger });
await serveUntilSignal(service, logger, (url) => console.log(url));
