// What unloading frees: the resident memory of the server's process and all its children, with the real engine.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { cleanEnvironment, main } from '../cli/run-cli.js';
import { makeFolder } from '../folder.js';

const folder = makeFolder('memory');
const child = spawn(process.execPath, [main, 'serve', '--port', '0'], {
  cwd: folder,
  env: { ...cleanEnvironment(folder), LOG_LEVEL: 'silent' },
  stdio: ['ignore', 'ignore', 'pipe'],
});
afterAll(() => {
  child.kill('SIGKILL');
});

/** A process and all its descendants. */
function listTree(root: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), parent: Number(readField(Number(name), 'PPid')) }));
  const tree = [root];
  for (const pid of tree)
    tree.push(...parents.filter(({ parent }) => parent === pid).map((process) => process.pid));
  return tree;
}

function readField(pid: number, field: string): string {
  try {
    return new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(
      readFileSync(join('/proc', `${pid}`, 'status'), 'utf8'),
    )![1]!;
  } catch {
    return '0';
  }
}

const MIB = 2 ** 20;
const readResident = () =>
  listTree(child.pid!).reduce((sum, pid) => sum + Number(readField(pid, 'VmRSS')) * 1024, 0);

it.skipIf(process.platform !== 'linux')(
  "unloading ends the engine's process, and its memory is back with the system",
  { timeout: 240_000 },
  async () => {
    const url = await new Promise<string>((resolve) =>
      child.stderr!.on('data', (data) => resolve(/http:\S+\d/.exec(String(data))![0])),
    );
    const status = async () => (await fetch(`${url}/status`)).json();
    const post = (path: string, body: object) =>
      fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
    const picture = { prompt: 'a red star', width: 256, height: 256, steps: 2, use_cache: false };

    expect((await post('/generate', picture)).status).toBe(200);
    const { engine_pid } = await status();
    const engine = Number(readField(engine_pid, 'VmRSS')) * 1024;
    const loaded = readResident();
    expect(listTree(child.pid!)).toContain(engine_pid);
    expect(engine).toBeGreaterThan(50 * MIB);

    expect(await (await post('/unload', {})).json()).toEqual({ ok: true, unloaded: true });
    expect(listTree(child.pid!)).toEqual([child.pid]);
    const unloaded = readResident();
    console.info(
      `resident: ${Math.round(loaded / MIB)} MiB loaded (engine ${Math.round(engine / MIB)}), ` +
        `${Math.round(unloaded / MIB)} MiB unloaded`,
    );
    expect(loaded - unloaded).toBeGreaterThan(0.8 * engine);

    const again = await post('/generate', picture);
    expect([again.status, await again.text()]).toEqual([200, expect.stringContaining('"ok":true')]);
    expect((await status()).engine_pid).not.toBe(engine_pid);
  },
);
