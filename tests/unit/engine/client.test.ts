// The client against the real host and pipeline over a fake addon, as a process and as a thread.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { EngineClient, type EngineClientOptions } from '../../../src/engine/client.js';
import { planModel } from '../../../src/families/index.js';
import { type GenerationOptions, resolveRequest } from '../../../src/pipeline/resolve.js';
import type { PipelineRequest, Progress } from '../../../src/pipeline/types.js';
import { testModel } from '../../test-model.js';

const open: EngineClient[] = [];

function createClient(behaviour = '', options: EngineClientOptions = {}): EngineClient {
  const binding = new URL(`./fake-addon.mjs?${behaviour}`, import.meta.url).href;
  const client = new EngineClient({ binding, ...options });
  open.push(client);
  return client;
}

async function createRequest(options: Partial<GenerationOptions> = {}): Promise<PipelineRequest> {
  const sizes = { width: 64, height: 64, steps: 4 };
  return resolveRequest(
    { prompt: 'a fox', seed: 1, ...sizes, ...options },
    testModel,
    await planModel(testModel),
  );
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

describe.each(['process', 'thread'] as const)('in a %s', (isolation) => {
  it('runs a batch and reports every step, with previews', async () => {
    const client = createClient('', { isolation });
    const seen: Progress[] = [];
    const request = await createRequest({ batch: 2, previewEvery: 2 });
    const result = await client.run(request, { onProgress: (progress) => seen.push(progress) });

    expect(result.images.map(({ seed }) => seed)).toEqual([1, 2]);
    for (const { pixels } of result.images) {
      expect(pixels).toMatchObject({ width: 64, height: 64 });
      expect(pixels.rgb).toBeInstanceOf(Uint8Array);
      expect(pixels.rgb).toHaveLength(64 * 64 * 3);
    }
    expect(result.images[0]!.pixels.rgb).not.toEqual(result.images[1]!.pixels.rgb);
    const phases = seen.filter(({ step }) => step === 0).map(({ phase, image }) => `${phase} ${image}`);
    expect(phases).toEqual(['load 0', 'encode 0', 'denoise 0', 'denoise 1', 'decode 0', 'decode 1']);
    const steps = seen.filter(({ phase, step, image }) => phase === 'denoise' && step > 0 && image === 1);
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect(steps.map(({ preview }) => preview?.width)).toEqual([undefined, 32, undefined, 32]);
    expect(result.seconds.denoise).toBeGreaterThan(0);
  });

  it('draws the same pixels for the same request, and keeps the model in between', async () => {
    const client = createClient('', { isolation });
    const request = await createRequest();
    const first = await client.run(request);
    const { pid, model, state } = await client.status();
    expect(state).toBe('idle');
    expect(model).toEqual(testModel);
    const second = await client.run(request);
    expect(second.images).toEqual(first.images);
    expect(client.pid).toBe(pid);
    const other = await client.run({ ...request, prompt: 'a cat' });
    expect(other.images).not.toEqual(first.images);
  });

  it('cancels within a step and serves the next job', async () => {
    const client = createClient('step=10000', { isolation });
    const cancelled = new AbortController();
    const started = performance.now();
    const job = client.run(await createRequest(), {
      signal: cancelled.signal,
      onProgress: ({ phase }) => phase === 'denoise' && setTimeout(() => cancelled.abort(), 20),
    });
    await expect(job).rejects.toMatchObject({ code: 'ABORTED' });
    expect(performance.now() - started).toBeLessThan(5000);
    await client.load(testModel);
    expect((await client.status()).model).toEqual(testModel);
  });

  it('cancels a waiting job without touching the running one', async () => {
    const client = createClient('step=50', { isolation });
    const request = await createRequest();
    const running = client.run(request);
    const controller = new AbortController();
    const waiting = client.run(request, { signal: controller.signal });
    const last = client.run(request);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await running).images).toHaveLength(1);
    expect((await last).images).toHaveLength(1);
  });

  it('ends its host on unload and starts another for the next job', async () => {
    const client = createClient('', { isolation });
    const request = await createRequest();
    await client.run(request);
    const pid = client.pid!;
    await client.unload();
    expect(client.pid).toBeNull();
    expect((await client.status()).state).toBe('stopped');
    if (isolation === 'process') expect(isAlive(pid)).toBe(false);
    expect((await client.run(request)).images).toHaveLength(1);
  });

  it('rejects the running job with CLOSED on close, and kills a host that hangs', async () => {
    const client = createClient('step=10000&hang=close', { isolation, graceMs: 200 });
    let closing: Promise<void> | undefined;
    const job = client.run(await createRequest(), {
      onProgress: ({ phase }) => {
        if (phase === 'denoise') closing ??= client.close();
      },
    });
    await expect(job).rejects.toMatchObject({ code: 'CLOSED' });
    await closing;
    await expect(client.run(await createRequest())).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it.each([
    ['nan', 'BAD_IMAGE'],
    ['flat', 'BAD_IMAGE'],
  ])('answers output %s with %s', async (output, code) => {
    const client = createClient(`output=${output}`, { isolation });
    await expect(client.run(await createRequest())).rejects.toMatchObject({ code, hint: expect.any(String) });
  });

  it('says which device is missing', async () => {
    const client = createClient('', { isolation, device: 'cuda9' });
    await expect(client.run(await createRequest())).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
  });
});

describe('a host that dies', () => {
  it('rejects the job with the signal and the last log lines; the next job gets a new host', async () => {
    const lines: string[] = [];
    const client = createClient('crash=2', { onLog: (level, message) => lines.push(`${level} ${message}`) });
    const error = await client.run(await createRequest()).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'ENGINE_CRASHED', details: { signal: 'SIGABRT' } });
    expect(error.message).toContain('everything_is_fine');
    expect(lines).toContain('info fake engine on cpu');
    expect((await client.run(await createRequest({ steps: 1 }))).images).toHaveLength(1);
  });

  it('may be killed from outside', async () => {
    const client = createClient('step=10000');
    const job = client.run(await createRequest(), {
      onProgress: ({ phase }) => phase === 'denoise' && process.kill(client.pid!, 'SIGKILL'),
    });
    await expect(job).rejects.toMatchObject({ code: 'ENGINE_CRASHED', details: { signal: 'SIGKILL' } });
    expect((await client.status()).state).toBe('stopped');
  });

  it('is not disturbed by Ctrl-C, which its parent handles', async () => {
    const client = createClient('step=50');
    const job = client.run(await createRequest(), {
      onProgress: ({ phase }) => phase === 'denoise' && process.kill(client.pid!, 'SIGINT'),
    });
    expect((await job).images).toHaveLength(1);
  });

  it('ends when its parent is killed', async () => {
    const parent = startProgram('setInterval(() => {}, 1000);');
    const pid = await readPid(parent);
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await expectDeath(pid);
  });

  it('does not keep a finished program alive', async () => {
    const parent = startProgram('');
    const ended = new Promise((resolve) => parent.once('exit', resolve));
    const pid = await readPid(parent);
    expect(await ended).toBe(0);
    await expectDeath(pid);
  });
});

/** Runs a program that loads a model, prints its host's process id, and then runs `rest`. */
function startProgram(rest: string): ChildProcessByStdio<null, Readable, null> {
  const client = new URL('../../../dist/engine/client.js', import.meta.url).href;
  const binding = new URL('./fake-addon.mjs', import.meta.url).href;
  const script = `
    import { EngineClient } from ${JSON.stringify(client)};
    const client = new EngineClient({ binding: ${JSON.stringify(binding)} });
    await client.load(${JSON.stringify(testModel)});
    const { pid } = await client.status();
    console.log(pid);
    ${rest}`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function readPid({ stdout }: ChildProcessByStdio<null, Readable, null>): Promise<number> {
  for await (const chunk of stdout) return Number(String(chunk));
  throw new Error('The program printed no process id.');
}

async function expectDeath(pid: number): Promise<void> {
  for (let i = 0; i < 100 && isAlive(pid); i++) await sleep(50);
  expect(isAlive(pid)).toBe(false);
}
