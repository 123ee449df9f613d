// What a server lives from: the engine's memory after many generations is what it was after a few.
import { afterAll, expect, it } from 'vitest';
import { EngineClient } from '../../src/engine/client.js';
import { planModel } from '../../src/families/index.js';
import { resolveRequest } from '../../src/pipeline/resolve.js';
import { testModel } from '../test-model.js';

const client = new EngineClient({ device: 'cpu', threads: 2 });
afterAll(() => client.close());

const generations = 48;
/** Garbage comes and goes; what stays shows in the lowest of several generations. */
const lowest = (values: number[]) => Math.min(...values);

it(`keeps its memory over ${generations} generations`, async () => {
  const plan = await planModel(testModel);
  const resident: number[] = [];
  for (let seed = 0; seed < generations; seed++) {
    // each with words of its own, so that what is remembered of them counts too
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
  const first = lowest(resident.slice(12, 24));
  const last = lowest(resident.slice(-12));
  // the garbage of differing prompts may take V8 more generations than these to collect
  expect(last / first, `resident bytes after each generation: ${resident.join(' ')}`).toBeLessThan(1.05);
}, 300_000);
