// imageforge selftest: starts the MCP server and tries it as a client would.
import type { Command } from 'commander';

export function addSelftest(program: Command): void {
  program
    .command('selftest')
    .description('try the MCP server as a client: handshake, tools, models, prompt assist')
    .option('--gen', 'also generate an image')
    .option('--json', 'print one JSON document instead of lines')
    .action(async ({ gen, json }: { gen?: true; json?: true }) => {
      const { runSelftest } = await import('../selftest.js');
      const passed: string[] = [];
      const say = (line: string) => {
        if (json) passed.push(line);
        else process.stdout.write(`[selftest] ${line}\n`);
      };
      await runSelftest({ generate: gen === true, say });
      if (json) process.stdout.write(`${JSON.stringify({ ok: true, passed }, null, 2)}\n`);
    });
}
