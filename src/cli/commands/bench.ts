// imageforge bench: measures what a model's picture costs on this machine.
import type { Command } from 'commander';

import type { BenchFlags } from '../bench-flags.js';

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure a model on this machine: loading, a step, decoding, peak memory')
    .option('-r, --runs <n>', 'pictures to make; the first one includes loading', '2')
    .option('--json', 'print one JSON document')
    .option('-q, --quiet', 'no progress')
    .action(async (flags: BenchFlags) => {
      const { runBench } = await import('../run-bench.js');
      await runBench(flags);
    });
}
