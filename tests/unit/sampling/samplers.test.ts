// Samplers reproduce the reference trajectories, on a denoiser in closed form.
import { describe, expect, it } from 'vitest';
import { dpmpp2m, dpmpp2mSde, dpmpp2mSdeHeun } from '../../../src/sampling/multistep-samplers.js';
import * as samplers from '../../../src/sampling/samplers.js';
import type { Denoise, Sampler } from '../../../src/sampling/types.js';
import { unipc, unipc3 } from '../../../src/sampling/unipc.js';
import { assertClose, goldenCase, maxDifference, type Tolerance } from '../../golden.js';

const golden = goldenCase('samplers');

interface Mixture {
  weights: number[];
  tau: number;
}

/** The exact posterior mean of the golden case's Gaussian mixture: a denoiser in closed form. */
function mixtureDenoiser(
  { weights, tau }: Mixture,
  means: Float32Array,
  kind: 'diffusion' | 'flow',
): Denoise {
  const size = means.length / weights.length;
  return async (x, sigma) => {
    const signal = kind === 'flow' ? 1 - sigma : 1;
    const variance = signal ** 2 * tau ** 2 + sigma ** 2;
    const distance = (k: number) =>
      x.reduce((sum, value, i) => sum + (value - signal * means[k * size + i]!) ** 2, 0) / (2 * variance);
    const logits = weights.map((weight, k) => Math.log(weight) - distance(k));
    const exponentials = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
    const total = exponentials.reduce((sum, value) => sum + value, 0);
    return x.map((value, i) =>
      exponentials.reduce((sum, exponential, k) => {
        const mean = means[k * size + i]!;
        return (
          sum + (exponential / total) * (mean + ((signal * tau ** 2) / variance) * (value - signal * mean))
        );
      }, 0),
    );
  };
}

describe('samplers against the reference trajectories', () => {
  const config = golden.config<Mixture>();
  const { inputs, expected } = golden;
  const { data: means, shape } = inputs.get('mu')!;
  const size = shape[1]!;

  const named: Record<string, [Sampler]> = {
    euler: [samplers.euler],
    euler_a: [samplers.eulerAncestral],
    heun: [samplers.heun],
    dpm2: [samplers.dpm2],
    dpm2_a: [samplers.dpm2Ancestral],
    dpmpp_2m: [dpmpp2m],
    dpmpp_2m_sde: [dpmpp2mSde],
    dpmpp_2m_sde_heun: [dpmpp2mSdeHeun],
    dpmpp_2s_a: [samplers.dpmpp2sAncestral],
    lcm: [samplers.lcm],
  };
  /** The sampler of a trajectory, by its name: "karras_8/ddim0.5" has an eta, "unipc3/unipc_bh2" an order. */
  function find(run: string, key: string): [Sampler, eta?: number] {
    const eta = /^ddim([\d.]+)$/.exec(key)?.[1];
    if (eta !== undefined) return [samplers.ddim, Number(eta)];
    if (key.startsWith('unipc')) return [/^unipc3/.test(run) ? unipc3 : unipc];
    return named[key]!;
  }
  const kindOf = (name: string) => (name.startsWith('flow') ? 'flow' : 'diffusion');

  it.each([...expected.keys()].filter((name) => name.startsWith('denoiser/')))('%s', async (name) => {
    const sigma = Number(name.split('_')[1]);
    const denoise = mixtureDenoiser(config, means, kindOf(name.split('/')[1]!));
    const found = await denoise(inputs.get('denoiser_x')!.data, sigma);
    expect(maxDifference(found, expected.get(name)!.data)).toBeLessThan(1e-5);
  });

  it.each([...expected.keys()].filter((name) => !name.startsWith('denoiser/')))('%s', async (name) => {
    const [run, key] = name.split('/') as [string, string];
    const [sampler, eta] = find(run, key);
    const sigmas = inputs.get(`${run}/sigmas`)!.data;
    const kind = kindOf(run);
    const rows: number[] = [];
    const draws = inputs.get('noise')!.data;
    let step = 0;
    const scale = kind === 'flow' ? 1 : sigmas[0]!;
    const x = inputs.get('noise0')!.data.map((value) => value * scale);
    const end = await sampler(mixtureDenoiser(config, means, kind), x, sigmas, {
      kind,
      noise: () => draws.slice(size * step, size * (step + 1)),
      ...(eta !== undefined && { eta }),
      onStep: (i, row) => {
        step = i + 1;
        rows.push(...row);
      },
    });
    expect([...end]).toEqual(rows.slice(-size));
    assertClose(rows, expected.get(name)!.data, golden.facts.tolerance.all as Tolerance);
  });
});
