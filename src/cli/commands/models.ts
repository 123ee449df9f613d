// imageforge models: lists, downloads and removes models, and inspects weight files.
import type { Command } from 'commander';
import type { ModelDescription } from '../../service/models/list.js';
import { collect } from '../collect.js';
import { formatTable } from '../table.js';

export function addModels(program: Command): void {
  const models = program.command('models').description('list, fetch, remove and inspect models');
  models
    .command('list', { isDefault: true })
    .description('list models by key, and whether they are on this disk')
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { json?: true }) => {
      const { describeModels } = await import('../open-service.js');
      const infos = await describeModels();
      if (json) process.stdout.write(`${JSON.stringify({ models: infos }, null, 2)}\n`);
      else process.stdout.write(toTable(infos));
    });
  models
    .command('pull <key>')
    .description('download a model from the Hugging Face hub; resumes an interrupted download')
    .option('--part <name>', 'only one part: model, vae, clip_l, t5xxl or llm; may be repeated', collect)
    .option('-q, --quiet', 'no progress')
    .option('--json', 'print one JSON document')
    .action(async (key: string, options: { part?: string[]; quiet?: true; json?: true }) => {
      const { printPull } = await import('../pull-model.js');
      await printPull(key, options);
    });
  models
    .command('rm <key>')
    .description('remove the files that were pulled for a model')
    .option('--json', 'print one JSON document')
    .action(async (key: string, { json }: { json?: true }) => {
      const { printRemoval } = await import('../pull-model.js');
      await printRemoval(key, json === true);
    });
  models
    .command('inspect <file>')
    .description('show what a GGUF or safetensors file holds')
    .option('--json', 'print one JSON document')
    .action(async (file: string, { json }: { json?: true }) => {
      const { printInspection } = await import('../inspect-model.js');
      await printInspection(file, json === true);
    });
}

function toTable(infos: readonly ModelDescription[]): string {
  const rows = infos.map((info) => [
    `${info.default ? '*' : ' '} ${info.key}`,
    info.default_steps === null ? '-' : `${info.default_steps} steps`,
    info.default_width === null ? '-' : `${info.default_width} px`,
    info.est_memory ?? '-',
    describeState(info),
    info.name,
  ]);
  return formatTable([['  KEY', 'STEPS', 'SIZE', 'MEMORY', 'STATE', 'WHAT'], ...rows]);
}

function describeState({ available, allowed, guard }: ModelDescription): string {
  if (!available) return 'not on this disk';
  return allowed ? 'ready' : `locked: ${guard}=1`;
}
