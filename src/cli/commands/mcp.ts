// imageforge mcp: the MCP server on stdin and stdout.
import type { Command } from 'commander';

export function addMcp(program: Command): void {
  program
    .command('mcp')
    .description('serve MCP on stdin and stdout, for AI assistants')
    .action(async () => {
      const { serveMcp } = await import('../serve.js');
      await serveMcp();
    });
}
