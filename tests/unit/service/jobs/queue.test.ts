import { describe, expect, it } from 'vitest';
import { JobQueue } from '../../../../src/service/jobs/queue.js';

/** A job that runs until it is released. */
function gate() {
  let open = () => {};
  const done = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { run: () => done, open };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

function fill(queue: JobQueue, jobs: { name: string; affinity?: string; priority?: number }[]) {
  const order: string[] = [];
  const done = jobs.map(({ name, affinity = 'a', priority }) =>
    queue.add({ affinity, priority, run: async () => void order.push(name) }),
  );
  return { order, done: Promise.all(done) };
}

describe('JobQueue', () => {
  it('runs one at a time, in order', async () => {
    const queue = new JobQueue({ limit: 10 });
    let running = 0;
    const order: number[] = [];
    await Promise.all(
      [1, 2, 3].map((n) =>
        queue.add({
          affinity: 'a',
          run: async () => {
            expect(++running).toBe(1);
            await settle();
            order.push(n);
            running--;
          },
        }),
      ),
    );
    expect(order).toEqual([1, 2, 3]);
  });

  it('returns the value, and an error only to its own job', async () => {
    const queue = new JobQueue({ limit: 10 });
    const bad = queue.add({ affinity: 'a', run: () => Promise.reject(new Error('no')) });
    const good = queue.add({ affinity: 'a', run: async () => 7 });
    await expect(bad).rejects.toThrow('no');
    await expect(good).resolves.toBe(7);
  });

  it('prefers priority, then the loaded model', async () => {
    const queue = new JobQueue({ limit: 10 });
    const first = gate();
    const running = queue.add({ affinity: 'a', run: first.run });
    const { order, done } = fill(queue, [
      { name: 'other', affinity: 'b' },
      { name: 'same', affinity: 'a' },
      { name: 'urgent', affinity: 'b', priority: 1 },
    ]);
    first.open();
    await Promise.all([running, done]);
    // The urgent job loads b, so b's other job comes before a's.
    expect(order).toEqual(['urgent', 'other', 'same']);
  });

  it('limits how often a job can be passed', async () => {
    const queue = new JobQueue({ limit: 100, maxPassed: 3 });
    const first = gate();
    const running = queue.add({ affinity: 'a', run: first.run });
    const jobs = [{ name: 'b', affinity: 'b' }, ...Array.from({ length: 10 }, (_, i) => ({ name: `a${i}` }))];
    const { order, done } = fill(queue, jobs);
    first.open();
    await Promise.all([running, done]);
    expect(order.indexOf('b')).toBe(3);
  });

  it('reports places as they change', async () => {
    const queue = new JobQueue({ limit: 10 });
    const first = gate();
    const running = queue.add({ affinity: 'a', run: first.run });
    const places: Record<string, number[]> = { x: [], y: [] };
    const add = (name: string, priority: number) =>
      queue.add({ affinity: 'a', priority, run: async () => {}, onPosition: (n) => places[name]!.push(n) });
    const x = add('x', 0);
    const y = add('y', 5);
    first.open();
    await Promise.all([running, x, y]);
    expect(places).toEqual({ x: [1, 2, 1], y: [1] });
  });

  it('refuses a job when it is full, and says so', async () => {
    const queue = new JobQueue({ limit: 1 });
    const first = gate();
    const running = queue.add({ affinity: 'a', run: first.run });
    const waiting = queue.add({ affinity: 'a', run: async () => {} });
    await expect(queue.add({ affinity: 'a', run: async () => {} })).rejects.toMatchObject({
      code: 'QUEUE_FULL',
      status: 429,
      details: { limit: 1 },
    });
    first.open();
    await Promise.all([running, waiting]);
    await expect(queue.add({ affinity: 'a', run: async () => 1 })).resolves.toBe(1);
  });

  it('cancels a waiting job at once, and never starts it', async () => {
    const queue = new JobQueue({ limit: 10 });
    const first = gate();
    const running = queue.add({ affinity: 'a', run: first.run });
    const controller = new AbortController();
    let started = false;
    const cancelled = queue.add({
      affinity: 'a',
      signal: controller.signal,
      run: async () => {
        started = true;
      },
    });
    controller.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'ABORTED', exitCode: 130 });
    expect(queue.waiting).toBe(0);
    first.open();
    await running;
    await settle();
    expect(started).toBe(false);
  });

  it('closes: the running job ends, the others are refused', async () => {
    const queue = new JobQueue({ limit: 10 });
    const first = gate();
    const running = queue.add({ affinity: 'a', run: first.run });
    const waiting = queue.add({ affinity: 'a', run: async () => {} });
    const closed = queue.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(queue.add({ affinity: 'a', run: async () => {} })).rejects.toMatchObject({ code: 'CLOSED' });
    first.open();
    await Promise.all([running, closed]);
    expect(queue.running).toBe(false);
  });
});
