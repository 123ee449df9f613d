// `npm run bench -- --profile`: shows where each network's time goes, by kind of operation, and how close that is to what
// the machine can do. Every operation is timed on its own, so threads start and stop at each one. The same generation also
// runs without profiling, to show how much that adds.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { measureGeneration } from './generation.mjs';
import { findModels } from './rows/index.mjs';
import { format, formatTable } from './table.mjs';

const titles = {
  convolution: 'convolution',
  product: 'matrix product',
  attention: 'attention',
  norm: 'norms',
  activation: 'activations',
  rest: 'adds, copies, rest',
};

export async function run(options, machine) {
  const results = [];
  for (const model of findModels(options.models ?? ['sd15'])) {
    const rows = await model.listRows({ types: ['f16', 'q8_0'], sizes: [512], ...defined(options) });
    for (const row of rows) {
      process.stderr.write(`${row.name} ${row.size} …\n`);
      const normal = await measureGeneration(row, options);
      const networks = await profileGeneration(row, options);
      console.log(`## ${row.name}, ${row.size} x ${row.size}, ${row.steps} steps\n`);
      for (const network of networks) console.log(`${describe(network, machine)}\n`);
      console.log(`${reconcile(networks, normal)}\n`);
      results.push({ name: row.name, size: row.size, steps: row.steps, normal, networks });
    }
  }
  return results;
}

/** Keeps only options that were given, so that the others take this mode's defaults. */
export function defined(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Runs one generation in an engine that writes its networks' profiles to a file when it closes. */
async function profileGeneration(row, options) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'imageforge-profile-'));
  const file = path.join(folder, 'profile.jsonl');
  process.env.IMAGEFORGE_PROFILE = file;
  try {
    await measureGeneration(row, options);
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    return lines.map((line) => sumByKind(JSON.parse(line)));
  } finally {
    delete process.env.IMAGEFORGE_PROFILE;
    await rm(folder, { recursive: true });
  }
}

/** Adds up a network's operations by kind. `outside` is the time that its runs took beyond them. */
function sumByKind({ operations, ...network }) {
  const kinds = Object.keys(titles).map((kind) => ({ kind, calls: 0, seconds: 0, flop: 0, bytes: 0 }));
  for (const operation of operations) {
    const sum = kinds.find(({ kind }) => kind === operation.kind);
    for (const key of ['calls', 'seconds', 'flop', 'bytes']) sum[key] += operation[key];
  }
  const total = (key) => kinds.reduce((sum, kind) => sum + kind[key], 0);
  return {
    ...network,
    kinds: kinds.filter(({ calls }) => calls > 0),
    flop: total('flop'),
    bytes: total('bytes'),
    outside: network.seconds - total('seconds'),
  };
}

function describe(network, machine) {
  const { seconds, runs, builds, outside, kinds } = network;
  const lines = [
    ...kinds.map((kind) => ({ ...kind, title: titles[kind.kind] })),
    { title: 'outside operations', calls: runs, seconds: outside, flop: 0, bytes: 0 },
    { title: 'total', calls: runs, seconds, flop: network.flop, bytes: network.bytes },
  ];
  const columns = [
    [`${network.network}: ${runs} runs of ${builds} graphs`, (l) => l.title],
    ['calls', (l) => `${l.calls}`],
    ['s', (l) => format(l.seconds, 3)],
    ['%', (l) => format((100 * l.seconds) / seconds, 1)],
    ['GFLOP', (l) => format(l.flop / 1e9, 0)],
    ['GFLOP/s', (l) => format(l.flop > 0 ? l.flop / l.seconds / 1e9 : null, 0)],
    ['GB/s', (l) => format(l.bytes > 0 ? l.bytes / l.seconds / 1e9 : null, 1)],
    ['FLOP per byte', (l) => format(l.flop > 0 ? l.flop / l.bytes : null, 0)],
    ['% of roofline', (l) => format(rooflineShare(l, machine), 0)],
  ];
  return formatTable(columns, lines);
}

/**
 * Share of what the machine could do. The limit is the F32 product's rate if an operation computes a lot on each byte,
 * else the memory's rate. Exceeds 100 if less is computed than counted (Winograd) or in less precision (8 bits).
 */
function rooflineShare({ flop, bytes, seconds }, { productGflops, copyGigabytes }) {
  if (!productGflops || !copyGigabytes || bytes === 0) return null;
  const least = Math.max(flop / (productGflops * 1e9), bytes / (copyGigabytes * 1e9));
  return (100 * least) / seconds;
}

function reconcile(networks, { phases, wallSeconds }) {
  const parts = Object.entries(phases).map(([phase, seconds]) => `${phase} ${format(seconds)} s`);
  const apart = networks.map(({ network, seconds }) => `${network} ${format(seconds)} s`);
  const sum = networks.reduce((total, { seconds }) => total + seconds, 0);
  return (
    `Operation by operation: ${apart.join(', ')}; ${format(sum)} s in total. ` +
    `The same generation without profiling: ${parts.join(', ')}; ${format(wallSeconds)} s from start to end.`
  );
}
