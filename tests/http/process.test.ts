// The server as a process of its own: under load, ended by signals, and after its engine was killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { testModel } from '../test-model.js';
import { fox } from './open-server.js';

const open: { child: ChildProcess; folder: string }[] = [];
afterEach(() => {
  for (const { child, folder } of open.splice(0)) {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

async function start(behaviour: string, env: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'imageforge-process-'));
  const script = join(import.meta.dirname, 'fake-server.mjs');
  const child = spawn(process.execPath, [script, folder, testModel.model, behaviour], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  open.push({ child, folder });
  const url = await new Promise<string>((resolve) =>
    child.stdout!.once('data', (data) => resolve(String(data).trim())),
  );
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const post = (path: string, body: object) =>
    fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
  const status = async () => (await fetch(`${url}/status`)).json();
  return { child, url, exited, post, status };
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('under load', () => {
  it('serves 200 clients at once; health answers meanwhile', async () => {
    const { url, post } = await start('step=0');
    await post('/generate', fox);
    const begun = performance.now();
    const clients = Promise.all(
      Array.from({ length: 200 }, async (_, seed) => {
        const response = await post('/generate', { ...fox, steps: 1, seed, return_mode: 'path' });
        return response.status === 200 ? (await response.json()).seed : response.status;
      }),
    );
    const times: number[] = [];
    let ended = false;
    const watching = (async () => {
      while (!ended) {
        const asked = performance.now();
        expect((await fetch(`${url}/health`)).status).toBe(200);
        times.push(performance.now() - asked);
        await sleep(20);
      }
    })();
    expect(await clients).toEqual(Array.from({ length: 200 }, (_, seed) => seed));
    const seconds = (performance.now() - begun) / 1000;
    ended = true;
    await watching;
    times.sort((a, b) => a - b);
    const at = (share: number) =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(0);
    console.info(
      `200 clients in ${seconds.toFixed(1)} s; health: median ${at(0.5)} ms, 95% ${at(0.95)} ms, worst ${at(1)} ms`,
    );
    // a busy machine measures itself
    if (loadavg()[0]! < availableParallelism())
      expect(times[Math.floor(times.length * 0.95)]).toBeLessThan(50);
  });
});

describe('SIGTERM', () => {
  it('lets a short job end, and leaves no process behind', async () => {
    const { child, exited, post, status } = await start('step=100');
    const answer = post('/generate', { ...fox, steps: 8 });
    while ((await status()).state !== 'busy') await sleep(20);
    const { engine_pid } = await status();
    child.kill('SIGTERM');
    expect((await answer).status).toBe(200);
    expect(await exited).toBe(0);
    expect(isAlive(engine_pid)).toBe(false);
  });

  it('ends within ten seconds, and answers everyone', async () => {
    const { child, exited, post, status } = await start('step=1000');
    const running = post('/generate', { ...fox, steps: 200 });
    const waiting = post('/generate', { ...fox, steps: 200, seed: 1 });
    while ((await status()).queue.waiting !== 1) await sleep(20);
    const begun = performance.now();
    child.kill('SIGTERM');
    const refused = await waiting;
    expect([refused.status, refused.headers.has('retry-after')]).toEqual([503, true]);
    expect((await refused.json()).error.code).toBe('CLOSED');
    expect((await running).status).toBe(503);
    expect(await exited).toBe(0);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});

describe('kill -9 of the engine', () => {
  it('fails its job with a reason, and serves the next', async () => {
    const { post, status } = await start('step=50');
    const answer = post('/generate', { ...fox, steps: 100 });
    while ((await status()).state !== 'busy') await sleep(20);
    process.kill((await status()).engine_pid, 'SIGKILL');
    const failed = await answer;
    expect([failed.status, (await failed.json()).error.code]).toEqual([500, 'ENGINE_CRASHED']);
    expect((await post('/generate', fox)).status).toBe(200);
  });
});
