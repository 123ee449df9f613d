// imageforge models: what is known and on disk, and what a file is.
import type { Command } from 'commander';
import type { ModelInfo } from '../../service/models.js';
import { readConfig } from '../../shared/config.js';
import { formatBytes, formatTable } from '../table.js';

export function addModels(program: Command): void {
  const models = program.command('models').description('list and inspect models');
  models
    .command('list', { isDefault: true })
    .description('models by key, and whether they are on this disk')
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { json?: true }) => {
      const { listModels } = await import('../../service/models.js');
      const infos = listModels(readConfig());
      if (json) process.stdout.write(`${JSON.stringify({ models: infos }, null, 2)}\n`);
      else process.stdout.write(describeModels(infos));
    });
  models
    .command('inspect <file>')
    .description('what a GGUF or safetensors file holds')
    .option('--json', 'print one JSON document')
    .action(async (file: string, { json }: { json?: true }) => {
      const { printInspection } = await import('../inspect-model.js');
      await printInspection(file, json === true);
    });
}

function describeModels(infos: readonly ModelInfo[]): string {
  const rows = infos.map((info) => [
    `${info.default ? '*' : ' '} ${info.key}`,
    info.default_steps === null ? '-' : `${info.default_steps} steps`,
    info.default_width === null ? '-' : `${info.default_width} px`,
    info.est_memory ?? (info.bytes === null ? '-' : formatBytes(info.bytes)),
    info.available ? (info.locked ? `locked: ${info.guard}=1` : 'ready') : 'not on this disk',
    info.title,
  ]);
  return formatTable([['  KEY', 'STEPS', 'SIZE', 'MEMORY', 'STATE', 'WHAT'], ...rows]);
}
