// `npm run bench`: measures what a cold generation costs on this machine, next to the targets and to PyTorch.
//   npm run bench                          pocket and SD 1.5 (random weights) in F16, Q8_0 and Q4_0, then the table of targets
//   npm run bench -- --models pocket       only the embedded model
//   npm run bench -- --models sdxl --types q8_0 --sizes 1024 --steps 2   SDXL, 3.9 GB of random weights
//   npm run bench -- --models schnell,klein-4b --types q4_0 --steps 1    FLUX and its text encoders, 14.5 GB of them
//   npm run bench -- --models schnell-cut  FLUX.1 cut to 2 double and 4 single blocks
//   npm run bench -- --models schnell --steps 1 --memory-limit 4096      a model larger than the memory it may use, in MiB
//   npm run bench -- --models sd15 --types q8_0 --sizes 256 --steps 3 --threads 2 --json result.json
//   npm run bench -- --profile             seconds and GFLOP/s by kind of operation, against the machine's limits
//   npm run bench -- --scaling             cost against steps, pictures, size and threads; memory over 50 generations
// --python names a Python with PyTorch (default python3; "none" leaves it out). --profile and --scaling have their own
// defaults; --scaling uses only the first of --models and --types.
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { limitMemory } from './limit.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const { values } = parseArgs({
  options: {
    profile: { type: 'boolean', default: false },
    scaling: { type: 'boolean', default: false },
    models: { type: 'string' },
    types: { type: 'string' },
    sizes: { type: 'string' },
    steps: { type: 'string', default: '3' },
    threads: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    'memory-mode': { type: 'string', default: 'auto' },
    'memory-limit': { type: 'string' },
    python: { type: 'string', default: process.env.PYTHON ?? 'python3' },
    json: { type: 'string' },
  },
});
const options = {
  root,
  models: values.models?.split(','),
  types: values.types?.split(','),
  sizes: values.sizes?.split(',').map(Number),
  steps: Number(values.steps),
  threads: Number(values.threads ?? os.availableParallelism()),
  device: values.device,
  memoryMode: values['memory-mode'],
  python: values.python === 'none' ? null : values.python,
};

if (values['memory-limit'] !== undefined) limitMemory(Number(values['memory-limit']));

const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
if (spawnSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit' }).status !== 0) process.exit(1);

// Imported only now, since they use what tsc has just written.
const { measureMachine } = await import('./machine.mjs');
const machine = measureMachine(options);
console.log(machine.text);

const mode = values.profile ? './profile.mjs' : values.scaling ? './scaling.mjs' : './costs.mjs';
const { run } = await import(mode);
const results = await run(options, machine);

if (values.json) await writeFile(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
