// Measures the machine's limits, which every other figure is compared with.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * Peak rates of a large F32 matrix product and of copying, measured with our kernels' micro benchmark on the same
 * number of threads; null if that can't be built (no compiler).
 */
export function measureMachine({ root, threads }) {
  const name = os.cpus()[0]?.model.trim() || os.arch();
  const found = runKernelsBench(root, [String(threads), 'machine']);
  const number = (pattern) => Number(pattern.exec(found)?.[1]) || null;
  const machine = {
    processor: name,
    threads,
    memory: os.totalmem(),
    node: process.version,
    kernels: /^([\w-]+), \d+ threads/m.exec(found)?.[1] ?? null,
    tileGflops: number(/register tile in L1: (\d+) GFLOP/),
    productGflops: number(/product f32 2048\^3.* ([\d.]+) GFLOP/),
    copyGigabytes: number(/copy 256 MiB.* ([\d.]+) GB/),
  };
  const limits = machine.productGflops
    ? `${machine.kernels} kernels; F32 product 2048^3 ${machine.productGflops} GFLOP/s (register tile in L1 ` +
      `${machine.tileGflops}), copying ${machine.copyGigabytes} GB/s`
    : 'limits unknown: kernels_bench could not be built';
  return { ...machine, text: `${name}, ${threads} threads; ${limits}\n` };
}

/** Returns the output of kernels_bench, which is built in the addon's build folder on first use. */
function runKernelsBench(root, args) {
  const build = path.join(root, 'build');
  const program = path.join(build, 'Release', `kernels_bench${os.platform() === 'win32' ? '.exe' : ''}`);
  if (!existsSync(program)) {
    process.stderr.write('building kernels_bench …\n');
    spawnSync('cmake', ['-S', root, '-B', build, '-DIMAGEFORGE_TESTS=ON'], { stdio: 'ignore' });
    spawnSync('cmake', ['--build', build, '--target', 'kernels_bench'], { stdio: 'ignore' });
  }
  return existsSync(program) ? spawnSync(program, args, { encoding: 'utf8' }).stdout : '';
}
