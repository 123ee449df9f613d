// Measures every row cold, with PyTorch in the same run, and compares both with the targets.
import { spawnSync } from 'node:child_process';
import { measureGeneration } from './generation.mjs';
import { findModels } from './rows/index.mjs';
import { format, formatTable, mebibytes } from './table.mjs';

const columns = [
  ['model', (r) => r.name],
  ['size', (r) => `${r.size}`],
  ['ready s', (r) => format(r.readySeconds)],
  ['text s', (r) => format(r.textSeconds)],
  ['step s', (r) => format(r.stepSeconds)],
  ['decode s', (r) => format(r.decodeSeconds)],
  ['peak of text MiB', (r) => mebibytes(r.textPeakBytes)],
  ['peak while sampling MiB', (r) => mebibytes(r.samplingPeakBytes)],
  ['peak MiB', (r) => mebibytes(r.peakBytes)],
];

const titles = {
  readySeconds: 'start to first step',
  stepSeconds: 'step',
  decodeSeconds: 'decode',
  samplingPeakBytes: 'peak while sampling',
  peakBytes: 'peak',
};

export async function run(options) {
  const costs = [];
  const checks = [];
  const torchSeconds = {};
  for (const model of findModels(options.models)) {
    const own = [];
    for (const row of await model.listRows(options)) {
      process.stderr.write(`${row.name} ${row.size} …\n`);
      own.push(await measureGeneration(row, options));
    }
    const beside = model.torch && options.python ? runTorch(model.torch, options) : null;
    Object.assign(torchSeconds, beside && { [model.name]: beside });
    for (const target of model.targets ?? []) {
      const cost = own.find(({ name, size }) => name === target.name && size === target.size);
      if (cost) checks.push(check(target, cost, beside));
    }
    costs.push(...own);
  }
  console.log(formatTable(columns, costs));
  if (checks.length > 0) console.log(`\n${formatTable(checkColumns, checks)}`);
  return { costs, checks, torch: torchSeconds };
}

/** Times the same networks in PyTorch, in F32 on as many threads. Returns null if PyTorch isn't installed. */
function runTorch(script, { python, threads, sizes }) {
  if (spawnSync(python, ['-c', 'import torch']).status !== 0) {
    process.stderr.write(`${python} has no PyTorch: measured without it (--python names another)\n`);
    return null;
  }
  process.stderr.write('PyTorch …\n');
  const args = [script, String(threads), ...(sizes ?? []).map(String)];
  const { status, stdout } = spawnSync(python, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return status === 0 ? JSON.parse(stdout) : null;
}

/** Judges a time by its ratio to PyTorch if both ratios are known, and everything else by its value. */
function check(goal, cost, beside) {
  const ours = cost[goal.metric];
  const torch = beside?.[goal.torchKey] ?? null;
  const ratio = torch === null ? null : ours / torch;
  const divisor = ratio !== null && goal.torchReference ? torch / goal.torchReference : 1;
  const reaches = (value) => (ours === null || !value ? null : ours <= value * divisor);
  const wantedRatio = goal.torchReference ? goal.target / goal.torchReference : null;
  return {
    ...goal,
    ours,
    torch,
    ratio,
    wantedRatio,
    met: reaches(goal.target),
    stretched: reaches(goal.stretch),
  };
}

const amount = (metric, value) =>
  metric.endsWith('Bytes') ? `${mebibytes(value)} MiB` : `${format(value)} s`;
const checkColumns = [
  ['what', (c) => `${c.name} ${c.size} ${titles[c.metric]}`],
  ['target', (c) => amount(c.metric, c.target)],
  ['ours', (c) => amount(c.metric, c.ours)],
  ['PyTorch', (c) => (c.torch === null ? '–' : amount(c.metric, c.torch))],
  ['ours / PyTorch', (c) => format(c.ratio)],
  ['target / PyTorch', (c) => format(c.wantedRatio)],
  ['met', (c) => (c.met === null ? '–' : c.met ? (c.stretched ? 'yes, stretch too' : 'yes') : 'NO')],
];
