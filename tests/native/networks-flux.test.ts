// The FLUX transformers against their golden cases: both generations, quantised files, trajectories, references.
import { describe, expect, test } from 'vitest';
import type { FluxConfig } from '../../src/families/networks/flux.js';
import type { ConditioningInputs, Denoiser, LoadOptions, Tensor } from '../../src/native/addon.js';
import { flowLevels, flux1Mu, timeShift } from '../../src/sampling/index.js';
import { createNoise } from '../../src/sampling/noise.js';
import { flow } from '../../src/sampling/schedules.js';
import { onCpu } from '../device.js';
import {
  assertClose,
  element,
  type GoldenCase,
  type GoldenTensor,
  goldenCase,
  groupsOf,
  toleranceOf,
} from '../golden.js';
import { readFlux } from '../golden-networks.js';
import { operations, precisionFor, withEngine } from './networks.js';
import { shiftWeights } from './shifted.js';

const cases = ['flux1-dev', 'flux1-schnell', 'flux2-dev', 'flux2-klein'];
const quantised = goldenCase('quant-flux1');
const schnell = goldenCase('flux1-schnell');

/** What the network is given for element `i` of a group of inputs. */
function inputsOf(inputs: Map<string, GoldenTensor>, group: string, i: number): ConditioningInputs {
  const of = (name: string) => inputs.get(group + name);
  const [pooled, guidance] = [of('pooled'), of('guidance')];
  return {
    context: element(of('context')!, i),
    ...(pooled && { vector: element(pooled, i) }),
    ...(guidance && { guidance: guidance.data[i]! }),
  };
}

describe.each(operations)('FLUX on $name', (chosen) => {
  test.each(cases)('%s', (name) =>
    withEngine(chosen, async (engine) => {
      const golden = goldenCase(name);
      const { config, weights } = await readFlux(golden);
      const flux = await engine.loadDenoiser('flux', config, weights);
      const tolerance = (answer: string) => toleranceOf(golden, answer, precisionFor(weights, chosen));
      for (const group of groupsOf(golden.inputs, 'latent'))
        await expectPredictions(flux, golden, group, tolerance(`${group}out`));
    }),
  );

  const files = Object.keys(quantised.facts.files!).filter((file) => file.endsWith('.gguf'));
  test.each(files)('quant-flux1 %s', (file) =>
    withEngine(chosen, async (engine) => {
      const { config, weights } = await readFlux(quantised, quantised.path(file));
      const flux = await engine.loadDenoiser('flux', config, weights);
      const { inputs, expected } = quantised;
      const conditioning = await flux.condition(inputsOf(inputs, '', 0));
      const latent = element(inputs.get('latent')!, 0);
      const [out] = await flux.predict(latent, inputs.get('t')!.data[0]!, [conditioning]);
      // quantised products round activations to 8 bits, which the case's wider limit allows for
      const isQuantised = weights.tensors.some(({ type }) => /^(i?q|tq)\d/.test(type));
      const precision = isQuantised ? 'f16_gemm' : precisionFor(weights, chosen);
      const name = file.replace('.gguf', '.out');
      assertClose(out!.data, expected.get(name)!.data, toleranceOf(quantised, name, precision));
    }),
  );
});

test.skipIf(!onCpu)(
  'quant-flux1 with so many tokens that attention uses 8 bits as well (needs the CPU)',
  async () => {
    const { config, weights } = await readFlux(quantised, quantised.path('q8_0.gguf'));
    const shape = [channelsOf(config), 64, 64];
    const latent: Tensor = { data: createNoise('philox', 7)(shape[0]! * 64 * 64), shape };
    const inputs = inputsOf(quantised.inputs, '', 0);
    const outs: Float32Array[] = [];
    for (const chosen of operations) {
      await withEngine(chosen, async (engine) => {
        const flux = await engine.loadDenoiser('flux', config, weights);
        const [out] = await flux.predict(latent, 0.7, [await flux.condition(inputs)]);
        outs.push(out!.data);
      });
    }
    const [ours, ggml] = outs as [Float32Array, Float32Array];
    assertClose(ours, ggml, { rel_l2: toleranceOf(quantised, 'q8_0.out', 'f16_gemm').rel_l2 });
  },
);

/** Channels of a latent: FLUX.1 makes a token of 2 x 2 cells, FLUX.2's latents come packed. */
function channelsOf({ generation, outChannels }: FluxConfig): number {
  return generation === 1 ? outChannels / 4 : outChannels;
}

/** Each element by itself, and in a batch with the others, on which its prediction must not depend. */
async function expectPredictions(
  flux: Denoiser,
  golden: GoldenCase,
  group: string,
  tolerance: { max_abs?: number; rel_l2: number },
): Promise<void> {
  const { inputs } = golden;
  const expected = golden.expected.get(`${group}out`)!;
  const latents = inputs.get(`${group}latent`)!;
  const count = latents.shape[0]!;
  const conditionings = [];
  for (let i = 0; i < count; i++) conditionings.push(await flux.condition(inputsOf(inputs, group, i)));
  for (let i = 0; i < count; i++) {
    const latent = element(latents, i);
    const timestep = inputs.get(`${group}t`)!.data[i]!;
    const [alone] = await flux.predict(latent, timestep, [conditionings[i]!]);
    expect(alone!.shape).toEqual(latent.shape);
    assertClose(alone!.data, element(expected, i).data, tolerance);
    const together = await flux.predict(latent, timestep, [...conditionings, conditionings[i]!]);
    expect(together).toHaveLength(count + 1);
    assertClose(together[i]!.data, element(expected, i).data, tolerance);
    assertClose(together[count]!.data, element(expected, i).data, tolerance);
  }
}

describe.each(['flux1-dev', 'flux1-schnell'])('the trajectory of %s', (name) => {
  test('Euler steps from noise', () =>
    withEngine(operations[0]!, async (engine) => {
      const golden = goldenCase(name);
      const { config, weights } = await readFlux(golden);
      const flux = await engine.loadDenoiser('flux', config, weights);
      const { inputs, expected } = golden;
      const stated = golden.config<{ steps: number; guidance_scale: number | null }>();
      const noise = element(inputs.get('noise')!, 0);
      const [, rows, columns] = noise.shape as [number, number, number];
      const shift = config.guidance ? timeShift(flux1Mu((rows / 2) * (columns / 2))) : undefined;
      const sigmas = flow(stated.steps, flowLevels(shift));
      assertClose(sigmas, expected.get('traj.sigmas')!.data, toleranceOf(golden, 'traj.sigmas', 'f32'));

      const { context, vector } = inputsOf(inputs, groupsOf(inputs, 'latent')[0]!, 0);
      const conditioning = await flux.condition({
        context,
        ...(vector && { vector }),
        ...(stated.guidance_scale !== null && { guidance: stated.guidance_scale }),
      });
      const precision = precisionFor(weights, operations[0]!);
      let x = noise.data;
      for (let step = 0; step < stated.steps; step++) {
        const [velocity] = await flux.predict({ data: x, shape: noise.shape }, sigmas[step]!, [conditioning]);
        x = x.map((value, i) => value + (sigmas[step + 1]! - sigmas[step]!) * velocity!.data[i]!);
        const latent = element(expected.get('traj.latents')!, step).data;
        assertClose(x, latent, toleranceOf(golden, 'traj.latents', precision));
      }
    }));
});

describe('what FLUX is given', () => {
  const zeros = (...shape: number[]): Tensor => ({
    data: new Float32Array(shape.reduce((product, n) => product * n, 1)),
    shape,
  });
  const wave = (...shape: number[]): Tensor => {
    const { data } = zeros(...shape);
    return { data: data.map((_, i) => Math.sin(i)), shape };
  };
  const refused = { code: 'INVALID_ARGUMENT' };

  test('wrong widths, odd sides, guidance and vectors that do not belong are refused', () =>
    withEngine(operations[0]!, async (engine) => {
      const { config, weights } = await readFlux(schnell);
      const flux = await engine.loadDenoiser('flux', config, weights);
      const { contextWidth, vectorWidth } = config;
      const channels = channelsOf(config);
      const [context, vector] = [zeros(20, contextWidth), zeros(vectorWidth)];
      const narrow = { context: zeros(20, contextWidth - 1), vector };
      await expect(flux.condition(narrow)).rejects.toMatchObject(refused);
      await expect(flux.condition({ context })).rejects.toThrow(/conditioning vector/);
      await expect(flux.condition({ context, vector, guidance: 3 })).rejects.toThrow(/distilled guidance/);
      const odd = { context, vector, references: [zeros(channels, 5, 4)] };
      await expect(flux.condition(odd)).rejects.toThrow(/reference/);
      const conditioning = await flux.condition({ context, vector });
      await expect(flux.predict(zeros(channels, 6, 5), 1, [conditioning])).rejects.toThrow(/even/);
      const few = flux.predict(zeros(channels - 1, 6, 4), 1, [conditioning]);
      await expect(few).rejects.toMatchObject(refused);
    }));

  test.each(['as they lie', 'by copies'])('streamed weights, %s, predict the same, whatever stays', (way) =>
    withEngine(operations[0]!, async (engine) => {
      const golden = goldenCase('flux1-dev');
      const { config, weights: plain } = await readFlux(golden);
      const weights = way === 'by copies' ? shiftWeights(plain) : plain;
      const [group] = groupsOf(golden.inputs, 'latent') as [string];
      const predict = async (options: LoadOptions) => {
        const flux = await engine.loadDenoiser('flux', config, weights, options);
        const latent = element(golden.inputs.get(`${group}latent`)!, 0);
        const conditioning = await flux.condition(inputsOf(golden.inputs, group, 0));
        const [out] = await flux.predict(latent, 0.5, [conditioning]);
        const held = engine.memory().weights;
        conditioning.close();
        await flux.close();
        return { values: out!.data, held };
      };
      const whole = await predict({});
      for (const keep of [0, 0.5, 1]) {
        const { values, held } = await predict({ stream: true, keep });
        if (onCpu) expect(values).toEqual(whole.values);
        else assertClose(values, whole.values, toleranceOf(golden, `${group}out`, operations[0]!.precision));
        if (way === 'by copies') expect(held).toBeLessThanOrEqual(whole.held * (0.05 + keep));
      }
      for (const keep of [-0.1, 1.1, Number.NaN])
        await expect(predict({ stream: true, keep })).rejects.toThrow(/options\.keep/);
    }),
  );

  test('references change the prediction, and each of them counts', () =>
    withEngine(operations[0]!, async (engine) => {
      const { config, weights } = await readFlux(schnell);
      const flux = await engine.loadDenoiser('flux', config, weights);
      const channels = channelsOf(config);
      const inputs = { context: wave(20, config.contextWidth), vector: wave(config.vectorWidth) };
      const latent = wave(channels, 6, 10);
      const predict = async (references: Tensor[]) => {
        const [out] = await flux.predict(latent, 0.5, [await flux.condition({ ...inputs, references })]);
        expect(out!.shape).toEqual(latent.shape);
        return out!.data;
      };
      const none = await predict([]);
      const one = await predict([wave(channels, 4, 8)]);
      const two = await predict([wave(channels, 4, 8), wave(channels, 8, 2)]);
      expect(one).not.toEqual(none);
      expect(two).not.toEqual(one);
    }));
});
