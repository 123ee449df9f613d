// Servers depend on this: after many generations, the engine's memory is what it was after a few.
import { afterAll, expect, it } from 'vitest';
import { EngineClient } from '../../src/engine/client.js';
import { planModel } from '../../src/families/index.js';
import { resolveRequest } from '../../src/pipeline/resolve.js';
import { testDevice } from '../device.js';
import { testModel } from '../test-model.js';

const client = new EngineClient({ device: testDevice, threads: 2 });
afterAll(() => client.close());

/** V8 compiles code and sizes its heap during the first generations. */
const warmUp = 25;
const generations = 50;
/** Garbage comes and goes, so take the lowest of several generations. */
const lowest = (values: number[]) => Math.min(...values);

it(`keeps its memory over ${generations} generations`, async () => {
  const plan = await planModel(testModel);
  const resident: number[] = [];
  for (let seed = 0; seed < warmUp + generations; seed++) {
    // Each prompt is different, so that what is cached for prompts counts too.
    const options = {
      prompt: `a red star, number ${seed}`,
      seed,
      width: 128,
      height: 128,
      steps: 2,
      guidance: 4,
    };
    await client.run(resolveRequest(options, testModel, plan));
    resident.push((await client.status()).rss);
  }
  const first = lowest(resident.slice(warmUp, warmUp + 10));
  const last = lowest(resident.slice(-10));
  expect(last / first, `resident bytes after each generation: ${resident.join(' ')}`).toBeLessThan(1.02);
}, 300_000);
