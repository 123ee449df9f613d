// Measures the memory that this process can still take without swapping. Node's own figure counts the page cache of a
// control group as used, and with it every weight file that was just read.
import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import path from 'node:path';

/** Free bytes, within the limits of the control groups if there are any. */
export function readFreeMemory(root = '/'): number {
  const read = (...names: string[]) => {
    try {
      return readFileSync(path.join(root, ...names), 'utf8');
    } catch {
      return undefined;
    }
  };
  const available = field(read('proc/meminfo'), 'MemAvailable:');
  let free = available === undefined ? freemem() : available * 1024;
  for (const line of read('proc/self/cgroup')?.split('\n') ?? []) {
    const [, controllers, group] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (group === undefined || (controllers !== '' && !controllers!.split(',').includes('memory'))) continue;
    const [mount, limit, used, files] =
      controllers === ''
        ? ['sys/fs/cgroup', 'memory.max', 'memory.current', '']
        : ['sys/fs/cgroup/memory', 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_'];
    // groups nest, and each level may have a limit
    for (let folder = group; ; folder = path.posix.dirname(folder)) {
      const most = Number(read(mount, folder, limit));
      const taken = Number(read(mount, folder, used));
      if (Number.isFinite(most) && Number.isFinite(taken)) {
        const statistics = read(mount, folder, 'memory.stat');
        const cached = ['inactive_file', 'active_file'].reduce(
          (sum, name) => sum + (field(statistics, files + name) ?? 0),
          0,
        );
        free = Math.min(free, Math.max(0, most - Math.max(0, taken - cached)));
      }
      if (folder === '/' || folder === '.' || folder === '') break;
    }
  }
  return free;
}

/** Reads the number after `name` from lines of "name number". */
function field(text: string | undefined, name: string): number | undefined {
  const line = text?.split('\n').find((candidate) => candidate.split(/\s+/)[0] === name);
  const value = Number(line?.split(/\s+/)[1]);
  return Number.isFinite(value) ? value : undefined;
}
