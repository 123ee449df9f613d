// What a server lives from: the engine's memory after many generations is what it was after a few.
import { afterAll, expect, it } from 'vitest';
import { EngineClient } from '../../src/engine/client.js';
import { planModel } from '../../src/families/index.js';
import { resolveRequest } from '../../src/pipeline/resolve.js';
import { testModel } from '../test-model.js';

const client = new EngineClient({ device: 'cpu', threads: 2 });
afterAll(() => client.close());

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

it('keeps its memory within 2 % over 24 generations', async () => {
  const plan = await planModel(testModel);
  const resident: number[] = [];
  for (let seed = 0; seed < 24; seed++) {
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
  const first = median(resident.slice(4, 12));
  const last = median(resident.slice(-8));
  expect(last / first, `resident bytes after each generation: ${resident.join(' ')}`).toBeLessThan(1.02);
}, 300_000);
