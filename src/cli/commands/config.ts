// imageforge config: every setting, its value and where it comes from.
import type { Command } from 'commander';
import { readConfig } from '../../shared/config.js';
import { type SettingName, settings } from '../../shared/settings.js';
import { formatTable } from '../table.js';

export function addConfig(program: Command): void {
  program
    .command('config')
    .description('show the settings')
    .option('--json', 'print one JSON document')
    .option('--example', 'print .env.example: every setting with its default')
    .action(async ({ json, example }: { json?: true; example?: true }) => {
      if (example) {
        const { formatEnvExample } = await import('../env-example.js');
        process.stdout.write(formatEnvExample());
        return;
      }
      const config = readConfig();
      const rows = (Object.keys(settings) as SettingName[]).map((key) => {
        const { names, secret, about } = settings[key] as {
          names: readonly string[];
          secret?: boolean;
          about: string;
        };
        const name = names.find((candidate) => config.set.has(candidate)) ?? names[0]!;
        const value = secret && config[key] !== undefined ? '***' : config[key];
        return { name, value, set: config.set.has(name), about };
      });
      if (json) {
        const values = Object.fromEntries(rows.map(({ name, value }) => [name, value ?? null]));
        process.stdout.write(`${JSON.stringify(values, null, 2)}\n`);
        return;
      }
      const lines = rows.map(({ name, value, set }) => [name, formatValue(value), set ? 'set' : 'default']);
      process.stdout.write(formatTable(lines));
    });
}

function formatValue(value: unknown): string {
  if (value === undefined || value === '') return '-';
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (Array.isArray(value)) return value.join(':') || '-';
  return String(value);
}
