import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { planModel } from '../../../../src/families/index.js';
import { requireMemory } from '../../../../src/service/request/estimate.js';
import { readFreeMemory } from '../../../../src/shared/free-memory.js';
import { testModel } from '../../../test-model.js';

const plan = await planModel(testModel);
const size = { width: 512, height: 512 };
const auto = { device: 'cpu', memoryMode: 'auto' } as const;

describe('requireMemory', () => {
  it('lets pass what fits', () => {
    expect(() => requireMemory('pocket', plan, size, auto, 64e9)).not.toThrow();
  });

  it('refuses what does not, with the figures', () => {
    expect(() => requireMemory('pocket', plan, size, auto, 1e6)).toThrow(
      expect.objectContaining({
        code: 'OUT_OF_MEMORY',
        exitCode: 6,
        message: expect.stringMatching(
          /^pocket at 512x512 needs about .* GB even layer by layer \(weights in total .* GB, compute .* GB\); 0.00 GB are free\.$/,
        ),
      }),
    );
  });

  it('leaves the decision to the engine if a mode is forced or a GPU is named', () => {
    expect(() => requireMemory('pocket', plan, size, { ...auto, memoryMode: 'stream' }, 1)).not.toThrow();
    expect(() => requireMemory('pocket', plan, size, { ...auto, device: 'cuda' }, 1)).not.toThrow();
  });
});

describe('readFreeMemory', () => {
  const meminfo = { 'proc/meminfo': 'MemTotal:       24000 kB\nMemAvailable:   20000 kB\n' };

  function machine(files: Record<string, string>): string {
    const root = mkdtempSync(path.join(tmpdir(), 'imageforge-machine-'));
    for (const [name, text] of Object.entries({ ...meminfo, ...files })) {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      writeFileSync(path.join(root, name), text);
    }
    return root;
  }

  it('is the memory that the system reports as available', () => {
    expect(readFreeMemory(machine({}))).toBe(20000 * 1024);
  });

  it('is less if any level of the control groups limits it; their page cache counts as free', () => {
    const unified = {
      'proc/self/cgroup': '0::/jobs/one\n',
      'sys/fs/cgroup/jobs/one/memory.max': 'max\n',
      'sys/fs/cgroup/jobs/one/memory.current': '900\n',
      'sys/fs/cgroup/jobs/memory.max': '5000\n',
      'sys/fs/cgroup/jobs/memory.current': '4000\n',
      'sys/fs/cgroup/jobs/memory.stat': 'anon 1000\ninactive_file 2500\nactive_file 500\n',
    };
    expect(readFreeMemory(machine(unified))).toBe(4000);
    const first = {
      'proc/self/cgroup': '5:cpu:/\n4:memory:/jobs\n',
      'sys/fs/cgroup/memory/jobs/memory.limit_in_bytes': '7000\n',
      'sys/fs/cgroup/memory/jobs/memory.usage_in_bytes': '6000\n',
      'sys/fs/cgroup/memory/jobs/memory.stat': 'total_inactive_file 3000\ntotal_active_file 1000\n',
    };
    expect(readFreeMemory(machine(first))).toBe(5000);
  });
});
