// The real engine in its process: it recovers from a kill in the middle of a step, stops within a step, and repeats pixels.
import { afterAll, describe, expect, it } from 'vitest';
import { EngineClient } from '../../src/engine/client.js';
import { planModel } from '../../src/families/index.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { testDevice } from '../device.js';
import { testModel } from '../test-model.js';

const client = new EngineClient({ device: testDevice, threads: 2 });
afterAll(() => client.close());

async function createRequest(options: Partial<GenerationOptions> = {}) {
  const sizes = { width: 128, height: 128, steps: 3, guidance: 4 };
  return resolveRequest(
    { prompt: 'a red star', seed: 7, ...sizes, ...options },
    testModel,
    await planModel(testModel),
  );
}

describe('the engine process', () => {
  it('makes the same pixels again, even after it was unloaded', async () => {
    const request = await createRequest();
    const first = await client.run(request);
    const second = await client.run(request);
    expect(second.images).toEqual(first.images);
    const { memory, pid, rss } = await client.status();
    expect(memory!.weights + memory!.mapped).toBeGreaterThan(1e6);
    expect(rss).toBeGreaterThan(1e7);
    await client.unload();
    expect(await client.status()).toMatchObject({ state: 'stopped', pid: null, memory: null });
    expect((await client.run(request)).images).toEqual(first.images);
    expect(client.pid).not.toBe(pid);
  });

  it('makes the same pixels in a thread', async () => {
    await using thread = new EngineClient({ device: testDevice, threads: 2, isolation: 'thread' });
    const request = await createRequest({ steps: 1 });
    const { images } = await thread.run(request);
    expect(images).toEqual((await client.run(request)).images);
    await thread.unload();
    expect((await thread.run(request)).images).toEqual(images);
  });

  it('fails the job by name when killed in the middle of a step, and runs the next one', async () => {
    const request = await createRequest({ steps: 50 });
    let steps = 0;
    const job = client.run(request, {
      onProgress: ({ phase, step }) => {
        if (phase !== 'denoise') return;
        steps = step;
        if (step === 2) setTimeout(() => process.kill(client.pid!, 'SIGKILL'), 5);
      },
    });
    await expect(job).rejects.toMatchObject({
      code: 'ENGINE_CRASHED',
      message: expect.stringContaining('SIGKILL'),
      details: { signal: 'SIGKILL' },
    });
    expect(steps).toBeLessThan(50);
    expect((await client.run(await createRequest())).images).toHaveLength(1);
  });

  it('stops within a step when it is cancelled', async () => {
    const controller = new AbortController();
    let cancelled = 0;
    let stepsAfter = 0;
    const job = client.run(await createRequest({ steps: 200, width: 256, height: 256 }), {
      signal: controller.signal,
      onProgress: ({ phase, step }) => {
        if (cancelled > 0) stepsAfter++;
        if (phase === 'denoise' && step === 1) {
          cancelled = performance.now();
          controller.abort();
        }
      },
    });
    await expect(job).rejects.toMatchObject({ code: 'ABORTED' });
    expect(stepsAfter).toBeLessThan(2);
    expect(performance.now() - cancelled).toBeLessThan(2000);
    expect((await client.run(await createRequest())).images).toHaveLength(1);
  });

  it('draws pictures whose sides are any multiple of 8', async () => {
    const { images } = await client.run(await createRequest({ width: 104, height: 72, steps: 1 }));
    expect(images[0]!.pixels).toMatchObject({ width: 104, height: 72 });
  });
});
