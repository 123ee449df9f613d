// Measures the server under many clients at once: how many get an answer, how fast, and how long /health takes meanwhile.
//   node scripts/bench/load.mjs                               200 clients of `imageforge serve` with the embedded model
//   node scripts/bench/load.mjs --clients 50 --size 128 --steps 4 --inline
//   node scripts/bench/load.mjs --url http://127.0.0.1:8765   a server that is already running
// A separate thread asks /health, so that the clients' own work is not measured. --json prints a document.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

if (isMainThread) await main();
else await watchHealth(workerData);

async function main() {
  const { values: options } = parseArgs({
    options: {
      url: { type: 'string' },
      clients: { type: 'string', default: '200' },
      size: { type: 'string', default: '64' },
      steps: { type: 'string', default: '1' },
      inline: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const server = options.url ? { url: options.url, close() {} } : await startServer();
  try {
    const result = await measure(server.url, options);
    console.log(options.json ? JSON.stringify(result, null, 2) : describe(result));
    if (result.answered !== result.clients) process.exitCode = 1;
  } finally {
    await server.close();
  }
}

async function measure(url, { clients, size, steps, inline }) {
  const side = Number(size);
  const body = { prompt: 'a red star', width: side, height: side, steps: Number(steps), use_cache: false };
  const ask = async (seed) => {
    const begun = performance.now();
    const response = await fetch(`${url}/generate`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...body, seed, return_mode: inline ? 'base64' : 'path' }),
    });
    const answer = await response.json();
    const good = response.status === 200 && answer.seed === seed;
    return { status: response.status, good, ms: performance.now() - begun };
  };
  await ask(0);
  const watcher = new Worker(new URL(import.meta.url), { workerData: url });
  await new Promise((resolve) => watcher.once('message', resolve));
  const begun = performance.now();
  const answers = await Promise.all(Array.from({ length: Number(clients) }, (_, i) => ask(i + 1)));
  const seconds = (performance.now() - begun) / 1000;
  watcher.postMessage('stop');
  const health = await new Promise((resolve) => watcher.once('message', resolve));
  await watcher.terminate();
  const statuses = {};
  for (const { status } of answers) statuses[status] = (statuses[status] ?? 0) + 1;
  return {
    clients: answers.length,
    answered: answers.filter(({ good }) => good).length,
    statuses,
    seconds,
    answerMs: spread(answers.map(({ ms }) => ms)),
    healthMs: spread(health.times),
    healthFailed: health.failed,
  };
}

/** Asks /health up to 50 times a second until told to stop. */
async function watchHealth(url) {
  const times = [];
  let failed = 0;
  let stopped = false;
  parentPort.once('message', () => {
    stopped = true;
  });
  const ask = async () => {
    const begun = performance.now();
    const response = await fetch(`${url}/health`);
    await response.arrayBuffer();
    if (response.status !== 200) failed++;
    return performance.now() - begun;
  };
  // The first requests open the connection and run cold code.
  for (let i = 0; i < 5; i++) await ask();
  parentPort.postMessage('ready');
  while (!stopped) {
    times.push(await ask());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  parentPort.postMessage({ times, failed });
}

function spread(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { count: sorted.length, median: at(0.5), p95: at(0.95), p99: at(0.99), worst: at(1) };
}

async function startServer() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'imageforge-load-'));
  const entry = path.resolve(import.meta.dirname, '../../dist/cli/main.js');
  const child = spawn(process.execPath, [entry, 'serve', '--port', '0'], {
    cwd: folder,
    env: { ...process.env, OUTPUT_DIR: folder, CACHE_DIR: path.join(folder, 'cache'), LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      const found = /ImageForge serves (\S+)/.exec(text);
      if (found) resolve(found[1]);
      else process.stderr.write(text);
    });
    exited.then((code) => reject(new Error(`the server ended with ${code}`)));
  });
  return {
    url,
    close: async () => {
      child.kill('SIGTERM');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function describe({ clients, answered, statuses, seconds, answerMs, healthMs, healthFailed }) {
  const line = ({ count, ...values }) =>
    [`${count} asked`, ...Object.entries(values).map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`)].join(
      ', ',
    );
  return [
    `clients  ${answered} of ${clients} answered in ${seconds.toFixed(1)} s (${JSON.stringify(statuses)})`,
    `answers  ${line(answerMs)}`,
    `health   ${line(healthMs)}, ${healthFailed} failed`,
  ].join('\n');
}
