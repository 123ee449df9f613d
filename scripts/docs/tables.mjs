// Writes the tables of docs/ that can be made from the program: settings, models, commands, samplers. Each one is between
// <!-- table: NAME --> and <!-- end --> and comes from the code in dist/.
//
//   node scripts/docs/tables.mjs [--check]      writes them; --check only says which pages are out of date
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { formatEnvExample } from '../../dist/cli/env-example.js';
import { createProgram } from '../../dist/cli/program.js';
import { catalog } from '../../dist/registry/catalog.js';
import { samplerEntries, scheduleEntries } from '../../dist/sampling/index.js';
import { settings } from '../../dist/shared/settings.js';

const root = path.resolve(import.meta.dirname, '../..');

const makers = {
  'docs/settings.md': { settings: makeSettings },
  'docs/models.md': { models: makeModels },
  'docs/cli.md': { commands: makeCommands, samplers: makeSamplers },
};

/** Makes a table for each group of .env.example, which has all there is to say about a setting. */
function makeSettings() {
  const [, ...groups] = formatEnvExample().split(/^# --- (.+) ---$/m);
  const tables = [];
  for (let at = 0; at < groups.length; at += 2) {
    const rows = groups[at + 1].trim().split('\n\n').map(readSetting);
    tables.push(`### ${groups[at]}\n\n${formatTable(['setting', 'default', ''], rows)}`);
  }
  return tables.join('\n\n');
}

/** Reads "# What it does.\n# NAME=default\n# OTHER_NAME=default". */
function readSetting(text) {
  const lines = text.split('\n').map((line) => line.replace(/^# /, ''));
  const [about, ...names] = lines;
  const value = names[0].slice(names[0].indexOf('=') + 1);
  return [
    names.map((line) => code(line.split('=')[0])).join(', '),
    value === '' ? 'none' : code(value),
    about,
  ];
}

function makeModels() {
  const rows = catalog.map(({ key, title, defaults, memory, guard }) => [
    code(key),
    title,
    `${defaults.steps} steps, ${defaults.width} px`,
    memory,
    guard ? code(`${settings[guard.setting].names[0]}=1`) : '',
  ]);
  return formatTable(['key', 'model', 'default', 'memory', 'guard'], rows);
}

async function makeCommands() {
  const { commands } = await createProgram([]);
  return formatTable(
    ['command', ''],
    commands.map((command) => [code(`imageforge ${command.name()}`), command.description()]),
  );
}

function makeSamplers() {
  const list = (entries) => entries.map(({ name }) => code(name)).join(', ');
  return formatTable(
    ['option', 'names'],
    [
      [code('--sampler'), list(samplerEntries)],
      [code('--schedule'), list(scheduleEntries)],
    ],
  );
}

function formatTable(head, rows) {
  const format = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [format(head), format(head.map(() => '---')), ...rows.map(format)].join('\n');
}

function code(text) {
  return `\`${text}\``;
}

const stale = [];
for (const [page, tables] of Object.entries(makers)) {
  const file = path.join(root, page);
  const before = readFileSync(file, 'utf8');
  let after = before;
  for (const [name, make] of Object.entries(tables)) {
    const block = new RegExp(`(<!-- table: ${name} -->\n).*?(<!-- end -->)`, 's');
    if (!block.test(after)) throw new Error(`${page} has no place for the table ${name}`);
    const table = await make();
    after = after.replace(block, (_, start, end) => `${start}\n${table}\n\n${end}`);
  }
  if (after === before) continue;
  stale.push(page);
  if (!process.argv.includes('--check')) writeFileSync(file, after);
}
if (process.argv.includes('--check') && stale.length > 0) {
  console.error(`${stale.join(', ')}: tables are out of date; update them with npm run docs:tables`);
  process.exitCode = 1;
}
