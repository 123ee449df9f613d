// Limits the memory of the benchmark and the engines that it starts with a control group of its own, as containers have.
// (`ulimit -v` limits address space, of which a mapped file takes its whole size.)
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const VERSION_1 = '/sys/fs/cgroup/memory';

/** Limits this process to so many MiB. Under systemd, it starts the process again in a scope. */
export function limitMemory(mebibytes) {
  if (process.env.IMAGEFORGE_BENCH_LIMITED) return;
  if (!(mebibytes > 0)) throw new Error('--memory-limit: expected a number of MiB');
  if (existsSync('/run/systemd/system')) return restartInScope(mebibytes);
  const memory = /^\d+:memory:(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'));
  if (!memory || !existsSync(VERSION_1))
    throw new Error('--memory-limit needs systemd, or control groups version 1 and permission to create one');
  const group = path.join(VERSION_1, memory[1], `imageforge-bench-${process.pid}`);
  mkdirSync(group);
  writeFileSync(path.join(group, 'memory.limit_in_bytes'), String(mebibytes * 2 ** 20));
  writeFileSync(path.join(group, 'cgroup.procs'), String(process.pid));
  process.on('exit', () => {
    writeFileSync(path.join(path.dirname(group), 'cgroup.procs'), String(process.pid));
    rmdirSync(group);
  });
}

function restartInScope(mebibytes) {
  const user = process.getuid() === 0 ? [] : ['--user'];
  const limits = ['-p', `MemoryMax=${mebibytes}M`, '-p', 'MemorySwapMax=0'];
  const { status } = spawnSync(
    'systemd-run',
    [...user, '--scope', '--quiet', ...limits, process.execPath, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, IMAGEFORGE_BENCH_LIMITED: '1' } },
  );
  process.exit(status ?? 1);
}
