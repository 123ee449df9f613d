import { afterEach, describe, expect, it, vi } from 'vitest';
import { EngineClient } from '../../../src/engine/client.js';
import { Lifecycle } from '../../../src/service/lifecycle.js';
import { silentLogger } from '../../../src/shared/log.js';
import { testModel } from '../../test-model.js';

const binding = new URL('../engine/fake-addon.mjs', import.meta.url).href;
const open: Lifecycle[] = [];

function start(seconds: number): Lifecycle {
  const lifecycle = new Lifecycle(new EngineClient({ binding }), seconds, silentLogger);
  open.push(lifecycle);
  return lifecycle;
}

afterEach(async () => {
  for (const lifecycle of open.splice(0)) await lifecycle.close();
});

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const load = (lifecycle: Lifecycle) => lifecycle.use((client) => client.load(testModel));

describe('Lifecycle', () => {
  it('has nothing running before the first use', async () => {
    expect(await start(300).status()).toMatchObject({
      loaded: false,
      secondsLeft: null,
      lastUsed: null,
      engine: { state: 'stopped', pid: null },
    });
  });

  it('ends an idle process, and starts another one for the next use', async () => {
    const lifecycle = start(0.2);
    await load(lifecycle);
    const first = lifecycle.client.pid!;
    expect(isAlive(first)).toBe(true);
    await vi.waitFor(() => expect(isAlive(first)).toBe(false), { timeout: 10_000 });
    expect(await lifecycle.status()).toMatchObject({ loaded: false, secondsLeft: null });
    await load(lifecycle);
    expect(lifecycle.client.pid).not.toBe(first);
  });

  it('counts down from the last use, but not while in use', async () => {
    const lifecycle = start(300);
    await load(lifecycle);
    const { secondsLeft, lastUsed, loaded } = await lifecycle.status();
    expect(loaded).toBe(true);
    expect(secondsLeft).toBeGreaterThan(290);
    expect(lastUsed!.getTime()).toBeGreaterThan(Date.now() - 10_000);
    await lifecycle.use(async () => expect((await lifecycle.status()).secondsLeft).toBeNull());
  });

  it('takes a new timeout while it runs', async () => {
    const lifecycle = start(0);
    await load(lifecycle);
    const pid = lifecycle.client.pid!;
    expect((await lifecycle.status()).secondsLeft).toBeNull();
    lifecycle.setTimeout(0.1);
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 10_000 });
  });

  it('unloads at once when told', async () => {
    const lifecycle = start(300);
    expect(await lifecycle.unload()).toBe(false);
    await load(lifecycle);
    const pid = lifecycle.client.pid!;
    expect(await lifecycle.unload()).toBe(true);
    expect(isAlive(pid)).toBe(false);
  });
});
