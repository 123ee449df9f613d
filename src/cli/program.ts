// The list of commands. `-h` means --height, as in the `flux` command; help is --help only.
import { Command } from 'commander';
import { readVersion } from '../shared/version.js';
import { BENCH_FIELDS } from './bench-flags.js';
import { addBench } from './commands/bench.js';
import { addConfig } from './commands/config.js';
import { addConvert } from './commands/convert.js';
import { addDoctor } from './commands/doctor.js';
import { addEdit } from './commands/edit.js';
import { addGenerate } from './commands/generate.js';
import { addInpaint } from './commands/inpaint.js';
import { addMcp } from './commands/mcp.js';
import { addModels } from './commands/models.js';
import { addOpenOutput } from './commands/open-output.js';
import { addSelftest } from './commands/selftest.js';
import { addServe } from './commands/serve.js';
import { addStatus } from './commands/status.js';
import { addUpscale } from './commands/upscale.js';

/** `args` is what the user typed. */
export async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('imageforge')
    .description('Local, private image generation')
    .version(readVersion(), '-V, --version', 'show the version')
    .helpOption('--help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .showSuggestionAfterError()
    .configureOutput({ outputError: () => undefined })
    .exitOverride();
  for (const add of [
    addGenerate,
    addEdit,
    addInpaint,
    addUpscale,
    addModels,
    addConvert,
    addServe,
    addMcp,
    addSelftest,
    addStatus,
    addConfig,
    addOpenOutput,
    addDoctor,
    addBench,
  ])
    add(program);
  for (const command of program.commands) if (args.includes(command.name())) await addSchemaOptions(command);
  return program;
}

/** Request options come from the schema, which is slow to load, so only a command that was named gets them. */
async function addSchemaOptions(command: Command): Promise<void> {
  const name = command.name();
  if (name !== 'generate' && name !== 'edit' && name !== 'inpaint' && name !== 'bench') return;
  const { addImageOptions, addRequestOptions } = await import('./image-options.js');
  if (name === 'bench') addRequestOptions(command, 'generate', BENCH_FIELDS);
  else addImageOptions(command, name);
}
