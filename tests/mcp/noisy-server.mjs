// An MCP server process over the fake addon's networks that prints to stdout in every possible way. The client must not see
// any of it. Arguments: folder, model file, query of the fake addon.
import { claimStdout, runStdio } from '../../dist/mcp/stdio.js';
import { silentLogger } from '../../dist/shared/log.js';
import { openFakeService } from '../fake-service.mjs';

const stdout = claimStdout();
console.log('a library says hello');
const noise = setInterval(() => process.stdout.write('noise\n'), 5);
const service = openFakeService(process.argv.slice(2));
const ending = new AbortController();
process.on('SIGTERM', () => ending.abort());
await runStdio(service, { stdout, logger: silentLogger, signal: ending.signal, graceMs: 5000 });
clearInterval(noise);
