// imageforge selftest: starts the MCP server as a client would, and tries it.
import type { Command } from 'commander';

export function addSelftest(program: Command): void {
  program
    .command('selftest')
    .description('try the MCP server as a client: handshake, tools, models, prompt assist')
    .option('--gen', 'also generate an image')
    .action(async ({ gen }: { gen?: true }) => {
      const { runSelftest } = await import('../selftest.js');
      await runSelftest({ generate: gen === true });
    });
}
