// Full-size figures: what fits where, and what the log says about it.
import { describe, expect, it } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { chooseMemoryMode, estimateNeeds, sumNeeds } from '../../../src/pipeline/memory-mode.js';
import { planFlux1 } from '../../golden-plans.js';
import { testModel } from '../../test-model.js';

const GB = 1e9;
const schnell = {
  text: { weights: 5 * GB, compute: 0.1 * GB, streamed: 0.2 * GB },
  denoiser: { weights: 6.8 * GB, compute: 0.4 * GB, streamed: 0.15 * GB },
  autoencoder: { weights: 0.2 * GB, compute: 0.8 * GB, streamed: 0.13 * GB },
};
const choose = (free: number, choice: Parameters<typeof chooseMemoryMode>[0] = 'auto') =>
  chooseMemoryMode(choice, schnell, free * GB);

describe('chooseMemoryMode', () => {
  it('takes the roomiest mode that fits', () => {
    expect(choose(13).mode).toBe('full');
    expect(choose(12.7).mode).toBe('offload');
    expect(choose(7.3).mode).toBe('offload');
    expect(choose(7.1).mode).toBe('stream');
    expect(choose(0.1).mode).toBe('stream');
  });

  it('takes a forced mode whatever fits', () => {
    for (const mode of ['full', 'offload', 'stream'] as const) expect(choose(7.1, mode).mode).toBe(mode);
    expect(choose(7.1, 'full').reason).toMatch(/^memory mode full as asked: /);
  });

  it('keeps what fits beside the compute buffers, unless streaming is forced', () => {
    expect(choose(5).keep).toBeCloseTo((0.9 * 5 - 0.4 - 0.15) / 6.8, 6);
    expect([choose(0.1).keep, choose(7.3).keep, choose(13).keep]).toEqual([0, 0, 0]);
    expect(choose(5, 'stream')).toMatchObject({ mode: 'stream', keep: 0 });
    const small = { ...schnell, denoiser: { weights: 0.1 * GB, compute: 0.1 * GB, streamed: 0.1 * GB } };
    expect(chooseMemoryMode('auto', small, 4 * GB)).toMatchObject({ mode: 'stream', keep: 1 });
  });

  it('states its figures', () => {
    expect(choose(7.1).reason).toBe(
      'memory mode stream: all networks need about 12.8 GB (weights 12.0 GB, compute 0.80 GB), ' +
        "the largest alone 7.2 GB, streamed 0.93 GB; 7.1 GB are free; 85 % of the denoiser's weights stay " +
        'between its steps',
    );
  });
});

describe('estimateNeeds', () => {
  it('counts every weight, and more compute for more pixels', async () => {
    const plan = await planModel(testModel);
    const small = sumNeeds(estimateNeeds(plan, { width: 64, height: 64 }));
    const large = sumNeeds(estimateNeeds(plan, { width: 512, height: 512 }));
    expect(small.weights).toBe(large.weights);
    expect(small.weights).toBeGreaterThan(1e6);
    expect(large.compute).toBeGreaterThan(small.compute);
  });

  it('counts the tokens of reference pictures', async () => {
    const plan = await planFlux1();
    const size = { width: 512, height: 512 };
    const tokens = (needs: ReturnType<typeof estimateNeeds>) => needs.denoiser.compute;
    const text = tokens(estimateNeeds(plan, { width: 0, height: 0 }));
    expect(text).toBeGreaterThan(0);
    const one = tokens(estimateNeeds(plan, size)) - text;
    expect(tokens(estimateNeeds(plan, size, [size, size])) - text).toBe(3 * one);
  });
});
