// imageforge convert: writes a GGUF or safetensors file as GGUF with another storage type.
import type { Command } from 'commander';
import { collect } from '../collect.js';

interface ConvertFlags {
  type: string;
  tensorType?: string[];
  force?: true;
  quiet?: true;
  json?: true;
}

const kernelNote = `
Quantised types apply to convolutions too, at q8_0 or larger, with each tap's channels together (the file's key
imageforge.kernel_order says so). Other programs refuse kernels of that shape; keep a UNet's in f16 for them:
  --tensor-type '(in_layers|out_layers|skip_connection|op|conv|proj_in|proj_out)\\..*=f16'`;

export function addConvert(program: Command): void {
  program
    .command('convert <in> <out>')
    .description('write a model as GGUF with other types, such as q8_0 or q4_k')
    .requiredOption('-t, --type <type>', 'f32, f16, bf16, q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, …')
    .option(
      '--tensor-type <pattern=type>',
      'another type for tensors whose name matches this regular expression; may be repeated',
      collect,
    )
    .option('--force', 'replace an existing file')
    .option('--json', 'print one JSON document instead of the path')
    .option('-q, --quiet', 'no progress')
    .addHelpText('after', kernelNote)
    .action(async (input: string, output: string, flags: ConvertFlags) => {
      const { runConvert } = await import('../run-convert.js');
      const { type, tensorType = [], force, quiet, json } = flags;
      await runConvert(input, output, {
        type,
        tensorTypes: tensorType,
        force: force === true,
        quiet: quiet === true,
        json: json === true,
      });
    });
}
