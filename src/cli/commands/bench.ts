// imageforge bench: what a picture of a model costs on this machine.
import type { Command } from 'commander';

export interface BenchFlags {
  model?: string;
  steps?: string;
  guidance?: string;
  width?: string;
  height?: string;
  runs: string;
  json?: true;
  quiet?: true;
}

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure a model on this machine: loading, a step, decoding, peak memory')
    .option('-m, --model <key|file>', 'model key, GGUF or safetensors file (default: the active model)')
    .option('-s, --steps <n>', 'number of inference steps (default: the model’s)')
    .option('-g, --guidance <n>', 'guidance scale (default: the model’s)')
    .option('-w, --width <pixels>', 'image width (default: the model’s)')
    .option('-h, --height <pixels>', 'image height (default: the model’s)')
    .option('-r, --runs <n>', 'pictures; the first one includes loading', '2')
    .option('--json', 'print one JSON document')
    .option('-q, --quiet', 'no progress')
    .action(async (flags: BenchFlags) => {
      const { runBench } = await import('../run-bench.js');
      await runBench(flags);
    });
}
