// `npm run bench`: what a generation costs on this machine, cold: prints a table and JSON.
//   npm run bench                          pocket, then SD 1.5 (random weights) at 512 and 256 in F16, Q8_0 and Q4_0
//   npm run bench -- --models pocket       only the embedded model
//   npm run bench -- --models sdxl --types q8_0 --sizes 1024 --steps 2   SDXL, 3.9 GB of random weights
//   npm run bench -- --types q8_0 --sizes 256 --steps 3 --threads 2 --json result.json
// Seconds to ready: from an empty process to the first denoising step (start, load, text). Peaks are the engine
// process's resident memory, files in use included. One step is two passes of the denoiser where guidance is above 1.
import { spawnSync } from 'node:child_process';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from './table.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const { values: options } = parseArgs({
  options: {
    models: { type: 'string', default: 'pocket,sd15' },
    types: { type: 'string', default: 'f16,q8_0,q4_0' },
    sizes: { type: 'string', default: '512,256' },
    steps: { type: 'string', default: '3' },
    threads: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    json: { type: 'string' },
  },
});

const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
if (spawnSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit' }).status !== 0) process.exit(1);
const { EngineClient } = await import('../../dist/engine/client.js');
const { planModel } = await import('../../dist/families/index.js');
const { resolveRequest } = await import('../../dist/pipeline/resolve.js');
const { writeStableDiffusion } = await import('./random-weights.mjs');

const results = [];
for (const scenario of await listScenarios()) {
  process.stderr.write(`${scenario.name} …\n`);
  results.push(await measure(scenario));
}
const machine = {
  processor: os.cpus()[0]?.model.trim(),
  threads: Number(options.threads ?? os.availableParallelism()),
  memory: os.totalmem(),
  node: process.version,
};
console.log(`${machine.processor}, ${machine.threads} threads\n`);
console.log(formatTable(results));
const report = JSON.stringify({ machine, results }, null, 2);
if (options.json) await writeFile(options.json, `${report}\n`);
console.log(`\n${report}`);

async function listScenarios() {
  const scenarios = [];
  for (const model of options.models.split(',')) {
    if (model === 'pocket') {
      const file = path.join(root, 'models', 'pocket.gguf');
      const { defaults } = await planModel({ model: file });
      scenarios.push({
        name: 'pocket',
        file,
        size: defaults.width,
        steps: defaults.steps,
        guidance: defaults.guidance,
      });
      continue;
    }
    if (!['sd15', 'sdxl'].includes(model))
      throw new Error(`unknown model "${model}"; possible are pocket, sd15, sdxl`);
    for (const type of options.types.split(',')) {
      const file = await makeWeights(model, type);
      for (const size of options.sizes.split(',').map(Number)) {
        scenarios.push({ name: `${model} ${type}`, file, size, steps: Number(options.steps), guidance: 7 });
      }
    }
  }
  return scenarios;
}

/** The random checkpoint of this type, made on first use. */
async function makeWeights(model, type) {
  const folder = path.join(root, '.cache', 'bench');
  const file = path.join(folder, `${model}-${type}.gguf`);
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  if (!exists) {
    process.stderr.write(`writing ${path.relative(root, file)} …\n`);
    await mkdir(folder, { recursive: true });
    await writeStableDiffusion(model, file, type);
  }
  return file;
}

async function measure({ name, file, size, steps, guidance }) {
  const plan = await planModel({ model: file });
  const request = resolveRequest(
    { prompt: 'a photograph of an astronaut', seed: 1, width: size, height: size, steps, guidance },
    { model: file },
    plan,
  );
  const threads = options.threads ? { threads: Number(options.threads) } : {};
  const client = new EngineClient({ device: options.device, ...threads });
  const begin = performance.now();
  const stepEnds = [];
  let ready = 0;
  let samplingPeak = null;
  const onProgress = (progress) => {
    const now = performance.now();
    if (progress.phase === 'denoise') {
      if (progress.step === 0) ready = now;
      stepEnds.push(now);
    }
    if (progress.phase === 'decode' && samplingPeak === null) samplingPeak = readPeak(client.pid);
  };
  let result;
  try {
    result = await client.run(request, { onProgress });
    const peak = await readPeak(client.pid);
    const stepSeconds = stepEnds.slice(1).map((end, i) => (end - stepEnds[i]) / 1000);
    return {
      name,
      size,
      steps,
      passes: guidance > 1 ? 2 : 1,
      readySeconds: (ready - begin) / 1000,
      stepSeconds: median(stepSeconds),
      decodeSeconds: result.seconds.decode,
      samplingPeakBytes: await samplingPeak,
      peakBytes: peak,
    };
  } finally {
    await client.close();
  }
}

/** Highest resident memory of a process so far, in bytes; null where the system doesn't tell. */
async function readPeak(pid) {
  if (os.platform() !== 'linux' || pid === null) return null;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const match = /^VmHWM:\s+(\d+) kB/m.exec(status);
  return match ? Number(match[1]) * 1024 : null;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
