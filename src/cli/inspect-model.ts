// Prints `imageforge models inspect`: what a file holds, which model it is, and what it still needs.
import { statSync } from 'node:fs';
import { type Inspection, inspectFile, type TypeUse } from '../families/inspect.js';
import { ImageForgeError } from '../shared/errors.js';
import { formatBytes, formatTable } from './table.js';

export async function printInspection(file: string, json: boolean): Promise<void> {
  if (!statSync(file, { throwIfNoEntry: false }))
    throw new ImageForgeError('NOT_FOUND', `There is no file ${file}.`, { details: { file } });
  const inspection = await inspectFile(file);
  process.stdout.write(json ? `${JSON.stringify(toDocument(inspection), null, 2)}\n` : describe(inspection));
}

/** Leaves out the plan's tensor tables, which are as long as the file's own. */
function toDocument({ plan, ...rest }: Inspection): object {
  if (!plan) return rest;
  const { prediction, inpaint, latent, defaults } = plan;
  return { ...rest, prediction, inpaint, latent, defaults };
}

function describe(inspection: Inspection): string {
  const { path, format, files, bytes, name, summary, networks, missing, problem, plan, memory } = inspection;
  const { sampling } = inspection;
  const rows = [
    ['File', path],
    ['Format', `${format}, ${formatBytes(bytes)}${files > 1 ? ` in ${files} files` : ''}`],
    ['Name', name],
    ['Holds', summary],
    ['Weights', `${formatParameters(inspection.parameters)}, ${formatTypes(inspection.types)}`],
    [
      'Memory',
      `${formatBytes(memory.weights)} of weights, the largest network ${formatBytes(memory.largest)}`,
    ],
    ...networks.map((network) => [
      'Network',
      `${network.kind} (${network.layout} names), ${formatParameters(network.parameters)}, ${formatTypes(network.types)}`,
    ]),
    ...(sampling
      ? [
          ['Predicts', `${sampling.prediction} (by ${sampling.told.prediction})`],
          ['Noise', `${sampling.noise} (by ${sampling.told.noise})`],
          ...sampling.notes.map((note) => ['Note', note]),
        ]
      : []),
    ...missing.map(({ what, bring }) => ['Missing', `${what}. ${bring}`]),
    ...(problem?.hint ? [['Hint', problem.hint]] : []),
    ...(plan ? [['Defaults', formatDefaults(plan.defaults)]] : []),
  ];
  return formatTable(rows);
}

function formatParameters(count: number): string {
  return count >= 1e9
    ? `${(count / 1e9).toFixed(2)} billion parameters`
    : `${(count / 1e6).toFixed(1)} million parameters`;
}

function formatTypes(types: readonly TypeUse[]): string {
  return types.map(({ type, tensors }) => `${tensors} ${type}`).join(', ');
}

function formatDefaults({
  steps,
  guidance,
  width,
  height,
  sampler,
  schedule,
}: NonNullable<Inspection['plan']>['defaults']): string {
  return `${width} x ${height}, ${steps} steps, guidance ${guidance}, ${sampler}, ${schedule}`;
}
