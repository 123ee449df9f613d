import { describe, expect, it } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { estimateMemory, requireMemory } from '../../../src/service/estimate.js';
import { testModel } from '../../test-model.js';

const plan = await planModel(testModel);
const size = { width: 512, height: 512 };
const auto = { device: 'cpu', memoryMode: 'auto' } as const;

describe('estimateMemory', () => {
  it('counts all weights, and more compute for more pixels', () => {
    const small = estimateMemory(plan, { width: 64, height: 64 });
    const large = estimateMemory(plan, size);
    expect(small.weights).toBe(large.weights);
    expect(small.weights).toBeGreaterThan(1e6);
    expect(large.compute).toBe(64 * small.compute);
  });
});

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
          /^pocket at 512x512 needs about .* GB \(weights .* GB, compute .* GB\); 0.00 GB are free\.$/,
        ),
      }),
    );
  });

  it('leaves the word to the engine when a mode is forced or a GPU is named', () => {
    expect(() => requireMemory('pocket', plan, size, { ...auto, memoryMode: 'stream' }, 1)).not.toThrow();
    expect(() => requireMemory('pocket', plan, size, { ...auto, device: 'cuda' }, 1)).not.toThrow();
  });
});
