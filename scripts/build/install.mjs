// npm's install script: uses a prebuilt addon if there is one that loads, and compiles the addon otherwise.
//
// It calls CMake directly, with Node's C headers from the package node-api-headers: cmake-js and node-gyp fetch headers
// from nodejs.org, but installing must need nothing but the package registry.
//
//   node scripts/build/install.mjs [--build]     --build: compile even if a prebuilt addon loads
//
// Environment: IMAGEFORGE_CUDA=1, IMAGEFORGE_VULKAN=1, IMAGEFORGE_METAL=0|1, IMAGEFORGE_GGML_ARCHIVE=FILE,
// CMAKE_ARGS="…" for anything else.

import { execFileSync, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchGgml } from './fetch-ggml.mjs';
import { Progress } from './progress.mjs';
import { chooseGenerator, explainMissingTools, findMissingTools } from './toolchain.mjs';

const require = createRequire(import.meta.url);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const build = path.join(root, 'build');
const progress = new Progress();
const gpuSwitches = ['IMAGEFORGE_CUDA', 'IMAGEFORGE_VULKAN'];

async function main() {
  // Prebuilt addons are not known to have the requested GPU backends.
  const forced =
    process.argv.includes('--build') ||
    process.env.npm_config_build_from_source === 'true' ||
    gpuSwitches.some((name) => truthy(process.env[name] ?? ''));
  if (!forced && loads({ PREBUILDS_ONLY: '1' })) return progress.done('using the prebuilt addon');

  const missing = findMissingTools();
  if (missing.length > 0) throw new Error(explainMissingTools(missing));
  progress.phase('building the native part; the first time takes a minute or two');
  await fetchGgml({ log: (line) => progress.phase(line) });
  await mkdir(build, { recursive: true });
  await configure();
  await compile();
  const devices = loads({});
  if (!devices) throw new Error(`The addon was built but doesn't load:\n${loadError}`);
  progress.done(`the native addon is ready; devices: ${devices}`);
}

let loadError = '';

/** Loads the addon in a separate process, so that a bad one can't crash this one. Returns its devices. */
function loads(env) {
  const script =
    "const a = require(require('node-gyp-build').path(process.cwd()));" +
    "console.log(a.devices().map((d) => d.id).concat(a.silentBackends().map((b) => 'no ' + b.kind + ': ' + b.reason)).join(', '))";
  try {
    return execFileSync(process.execPath, ['-e', script], {
      cwd: root,
      env: { ...process.env, ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  } catch (error) {
    loadError = String(error.stderr || error.message).trim();
    return '';
  }
}

async function configure() {
  progress.phase('configuring');
  const includes = [require('node-api-headers').include_dir, require('node-addon-api').include_dir];
  const flag = (name, fallback) => `-D${name}=${truthy(process.env[name] ?? fallback) ? 'ON' : 'OFF'}`;
  const args = [
    '-S',
    root,
    '-B',
    build,
    '-DCMAKE_BUILD_TYPE=Release',
    `-DIMAGEFORGE_NODE_INCLUDE=${includes.map((folder) => path.resolve(root, folder)).join(';')}`,
    flag('IMAGEFORGE_CUDA', '0'),
    flag('IMAGEFORGE_VULKAN', '0'),
    flag('IMAGEFORGE_METAL', process.platform === 'darwin' ? '1' : '0'),
    ...(process.env.CMAKE_ARGS?.split(/\s+/).filter(Boolean) ?? []),
  ];
  const cache = await readFile(path.join(build, 'CMakeCache.txt'), 'utf8').catch(() => '');
  // A build folder that was moved or configured elsewhere can't be reused.
  if (cache && !cache.includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${root}\n`))
    await rm(build, { recursive: true });
  if (!existsSync(path.join(build, 'CMakeCache.txt'))) args.push('-G', chooseGenerator());
  try {
    await run('cmake', args, (line) => {
      // Messages of the project's own CMake files.
      const notice = /^ImageForge: (.*)/.exec(line);
      if (notice) progress.phase(notice[1]);
    });
  } catch (error) {
    // CMake's cache would survive the repair and mix, for example, half of one CUDA toolkit with half of the next.
    await rm(path.join(build, 'CMakeCache.txt'), { force: true });
    throw error;
  }
}

async function compile() {
  // One compiler process takes up to half a gigabyte.
  const jobs = Math.max(1, Math.min(os.availableParallelism(), Math.floor(os.freemem() / 2 ** 29) || 1));
  progress.phase(`compiling with ${jobs} ${jobs === 1 ? 'process' : 'processes'}`);
  await run('cmake', ['--build', build, '--parallel', String(jobs)], (line) => {
    const ninja = /^\[(\d+)\/(\d+)\] (.*)/.exec(line);
    if (ninja) return progress.update(Number(ninja[1]) / Number(ninja[2]), describe(ninja[3]));
    const make = /^\[ *(\d+)%\] (.*)/.exec(line);
    if (make) progress.update(Number(make[1]) / 100, describe(make[2]));
  });
}

/** Turns "Building CXX object third_party/…/ops.cpp.o" into "ops.cpp". */
function describe(step) {
  const file = step.trim().split(/\s+/).at(-1) ?? '';
  return path.basename(file).replace(/\.o$/, '');
}

/** Runs a command with its output in build/install.log. An error quotes the last lines of it. */
async function run(command, args, onLine = () => {}) {
  await mkdir(build, { recursive: true });
  const file = path.join(build, 'install.log');
  const log = createWriteStream(file, { flags: 'a' });
  log.write(`$ ${command} ${args.join(' ')}\n`);
  const tail = [];
  // Keep ninja and cmake from colouring or rewriting their lines.
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, TERM: 'dumb', NINJA_STATUS: '[%f/%t] ', MAKEFLAGS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let rest = '';
  const read = (chunk) => {
    log.write(chunk);
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      tail.push(line);
      if (tail.length > 40) tail.shift();
      onLine(line);
    }
  };
  child.stdout.setEncoding('utf8').on('data', read);
  child.stderr.setEncoding('utf8').on('data', read);
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  log.end();
  if (code !== 0)
    throw new Error(
      `${command} ended with code ${code}. Its last lines (all of them are in ${path.relative(root, file)}):\n\n` +
        `${tail.join('\n')}\n`,
    );
}

function truthy(value) {
  return /^(1|on|true|yes)$/i.test(value);
}

main().catch((error) => {
  progress.fail(error.message);
  process.exitCode = 1;
});
