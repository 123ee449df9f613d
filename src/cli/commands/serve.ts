// imageforge serve: the HTTP API, with MCP at /mcp.
import type { Command } from 'commander';

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('serve the HTTP API (and MCP at /mcp) until Ctrl-C')
    .option('--host <address>', 'address to bind to (default: HOST)')
    .option('-p, --port <n>', 'port (default: PORT)')
    .option('--json', 'print the address as one JSON document once it serves')
    .action(async (options: { host?: string; port?: string; json?: true }) => {
      const { serveHttp } = await import('../serve.js');
      await serveHttp(options);
    });
}
