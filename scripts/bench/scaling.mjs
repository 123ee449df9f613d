// `npm run bench -- --scaling`: shows how cost scales with steps, pictures, pixels and threads, and whether memory stays
// flat over 50 generations. Ends with exit code 1 if it doesn't.
import { createRequest, openClient } from './generation.mjs';
import { defined } from './profile.mjs';
import { findModels } from './rows/index.mjs';
import { format, formatTable, mebibytes } from './table.mjs';

const generations = 50;
const warmUp = 5;
/** How much resident memory may grow from the first twenty generations after warm-up to the last twenty, as a share. */
const growthLimit = 0.02;

export async function run(options) {
  const [model] = findModels(options.models ?? ['sd15']);
  const wanted = { types: ['q8_0'], ...defined(options), sizes: [256] };
  const [row] = await model.listRows(wanted);
  const sizes = options.sizes ?? [256, 384, 512];
  const threads = [1, 2, 4, 8].filter((count) => count < options.threads).concat(options.threads);
  const results = [];

  const series = async (title, variants, each = options) => {
    process.stderr.write(`${title} …\n`);
    const measured = await measureSeries(variants, each);
    results.push(...measured.map((result) => ({ series: title, ...result })));
  };
  await series(
    'steps',
    [1, 2, 4, 8].map((steps) => [`${steps}`, steps, { ...row, steps }]),
  );
  await series(
    'pictures',
    [1, 2, 4].map((batch) => [`${batch}`, batch, { ...row, steps: 2, batch }]),
  );
  const pixels = sizes.map((size) => [`${size} x ${size}`, (size / 256) ** 2, { ...row, steps: 2, size }]);
  await series('size', pixels);
  for (const count of threads)
    await series('threads', [[`${count}`, 1 / count, { ...row, steps: 2 }]], { ...options, threads: count });

  for (const result of results) {
    const base = results.find(({ series }) => series === result.series);
    result.cost = result.seconds / base.seconds;
    result.work = result.units / base.units;
  }
  console.log(`${row.name}, guidance ${row.guidance}; 256 x 256 and 2 steps unless stated otherwise\n`);
  console.log(`${formatTable(columns, results)}\n`);

  const memory = await measureMemory(options);
  const growth = memory.last / memory.first - 1;
  const flat = growth <= growthLimit;
  console.log(
    `pocket, ${generations} generations: ${mebibytes(memory.first)} MiB at the start, ${mebibytes(memory.last)} MiB ` +
      `at the end (${format(100 * growth, 1)} %, at most ${100 * growthLimit} % allowed)` +
      `${flat ? '' : ': MEMORY GROWS'}`,
  );
  if (!flat) process.exitCode = 1;
  return { results, memory: { ...memory, growth, flat } };
}

const columns = [
  ['what', (r) => r.series],
  ['', (r) => r.label],
  ['denoise s', (r) => format(r.denoise)],
  ['decode s', (r) => format(r.decode)],
  ['both s', (r) => format(r.seconds)],
  ['cost', (r) => `x ${format(r.cost)}`],
  ['work', (r) => `x ${format(r.work)}`],
  ['resident MiB', (r) => mebibytes(r.rss)],
];

/** Measures the variants one after another in one warm engine: the first variant runs once before. */
async function measureSeries(variants, options) {
  const client = openClient(options);
  const results = [];
  try {
    await client.run(await createRequest(variants[0][2], 0));
    for (const [label, units, row] of variants) {
      const { seconds } = await client.run(await createRequest(row));
      const { rss } = await client.status();
      const { denoise, decode } = seconds;
      results.push({ label, units, denoise, decode, seconds: denoise + decode, rss });
    }
  } finally {
    await client.close();
  }
  return results;
}

/**
 * Measures the engine's resident bytes after each generation. `first` and `last` are the lowest of twenty, since garbage
 * comes and goes and only the lowest shows what stays.
 */
async function measureMemory(options) {
  const [pocket] = findModels(['pocket']);
  const [row] = await pocket.listRows(options);
  const client = openClient(options);
  const resident = [];
  process.stderr.write(`memory over ${generations} generations …\n`);
  try {
    for (let i = 0; i < generations; i++) {
      await client.run(await createRequest(row, i));
      resident.push((await client.status()).rss);
    }
  } finally {
    await client.close();
  }
  return {
    resident,
    first: Math.min(...resident.slice(warmUp, warmUp + 20)),
    last: Math.min(...resident.slice(-20)),
  };
}
