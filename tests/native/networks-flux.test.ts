// The FLUX transformers against their golden cases: both generations, quantised files, trajectories, LoRAs.
import { describe, expect, test } from 'vitest';
import type { FluxConfig } from '../../src/families/networks/flux.js';
import { fluxLayouts, readFluxConfig } from '../../src/families/networks/flux.js';
import { below, type Tensors, toWeights, viewTensors } from '../../src/families/tensors.js';
import type { ConditioningInputs, Denoiser, Engine, LoadOptions, Tensor } from '../../src/native/addon.js';
import { flowLevels, flux1Mu, timeShift } from '../../src/sampling/index.js';
import { createNoise } from '../../src/sampling/noise.js';
import { flow } from '../../src/sampling/schedules.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { onCpu } from '../device.js';
import {
  assertClose,
  element,
  type GoldenCase,
  type GoldenTensor,
  goldenCase,
  toleranceOf,
} from '../golden.js';
import { type Operations, operations, precisionFor, withEngine } from './networks.js';
import { shiftWeights } from './shifted.js';

const variants = [
  { golden: 'flux1-dev', prefix: '' },
  { golden: 'flux1-schnell', prefix: 'model.diffusion_model.' },
  { golden: 'flux2-dev', prefix: '' },
  { golden: 'flux2-klein', prefix: '' },
];

async function loadFlux(
  engine: Engine,
  path: string,
  prefix: string,
): Promise<{ flux: Denoiser; config: FluxConfig }> {
  const tensors: Tensors = fluxLayouts[0]!.rename(below(viewTensors(await readWeightFile(path)), prefix));
  const config = readFluxConfig(tensors, path);
  return { flux: await engine.loadDenoiser('flux', config, toWeights(tensors)), config };
}

/** What the case's inputs of element `i` are to the network. */
function inputsOf(inputs: Map<string, GoldenTensor>, batch: string, i: number): ConditioningInputs {
  const of = (name: string) => inputs.get(batch + name);
  const [pooled, guidance] = [of('pooled'), of('guidance')];
  return {
    context: element(of('context')!, i),
    ...(pooled && { vector: element(pooled, i) }),
    ...(guidance && { guidance: guidance.data[i]! }),
  };
}

const quantised = goldenCase('quant-flux1');

describe.each(operations)('FLUX on $name', (chosen) => {
  for (const { golden: name, prefix } of variants) {
    const golden = goldenCase(name);
    test.skipIf(!golden.present)(`${name} ${golden.reason}`, () =>
      withEngine(chosen, async (engine) => {
        const { flux } = await loadFlux(engine, golden.path('model.safetensors'), prefix);
        for (const batch of ['b1.', 'b2.']) await expectPredictions(flux, golden, batch, chosen);
      }),
    );
  }

  test.skipIf(!quantised.present).each(['f16', 'q8_0', 'q4_0', 'q4_k'])(
    `quant-flux1 %s ${quantised.reason}`,
    (type) =>
      withEngine(chosen, async (engine) => {
        const { flux } = await loadFlux(engine, quantised.path(`${type}.gguf`), '');
        const inputs = quantised.tensors('inputs.safetensors');
        const conditioning = await flux.condition(inputsOf(inputs, '', 0));
        const latent = element(inputs.get('latent')!, 0);
        const [out] = await flux.predict(latent, inputs.get('t')!.data[0]!, [conditioning]);
        // quantised products round activations to 8 bits, which the case's wider limit allows for
        const precision = type === 'f16' ? chosen.precision : 'f16_gemm';
        const answer = quantised.tensors('expected.safetensors').get(`${type}.out`)!;
        assertClose(out!.data, answer.data, toleranceOf(quantised, `${type}.out`, precision));
      }),
  );
});

test.skipIf(!quantised.present || !onCpu)(
  `quant-flux1 with so many tokens that attention uses 8 bits as well ${quantised.reason}`,
  async () => {
    const latent: Tensor = { data: createNoise('philox', 7)(16 * 64 * 64), shape: [16, 64, 64] };
    const inputs = inputsOf(quantised.tensors('inputs.safetensors'), '', 0);
    const outs: Float32Array[] = [];
    for (const chosen of operations) {
      await withEngine(chosen, async (engine) => {
        const { flux } = await loadFlux(engine, quantised.path('q8_0.gguf'), '');
        const [out] = await flux.predict(latent, 0.7, [await flux.condition(inputs)]);
        outs.push(out!.data);
      });
    }
    const [ours, ggml] = outs as [Float32Array, Float32Array];
    assertClose(ours, ggml, { rel_l2: toleranceOf(quantised, 'q8_0.out', 'f16_gemm').rel_l2 });
  },
);

/** Every element by itself, and in a batch with the others, whose results must not depend on it. */
async function expectPredictions(
  flux: Denoiser,
  golden: GoldenCase,
  batch: string,
  chosen: Operations,
): Promise<void> {
  const inputs = golden.tensors('inputs.safetensors');
  const expected = golden.tensors('expected.safetensors').get(`${batch}out`)!;
  const latents = inputs.get(`${batch}latent`)!;
  const tolerance = toleranceOf(golden, `${batch}out`, precisionFor('BF16', chosen));
  const count = latents.shape[0]!;
  const conditionings = [];
  for (let i = 0; i < count; i++) conditionings.push(await flux.condition(inputsOf(inputs, batch, i)));
  for (let i = 0; i < count; i++) {
    const latent = element(latents, i);
    const timestep = inputs.get(`${batch}t`)!.data[i]!;
    const [alone] = await flux.predict(latent, timestep, [conditionings[i]!]);
    expect(alone!.shape).toEqual(latent.shape);
    assertClose(alone!.data, element(expected, i).data, tolerance);
    const together = await flux.predict(latent, timestep, [...conditionings, conditionings[i]!]);
    expect(together).toHaveLength(count + 1);
    assertClose(together[i]!.data, element(expected, i).data, tolerance);
    assertClose(together[count]!.data, element(expected, i).data, tolerance);
  }
}

describe.each(variants.slice(0, 2))('the trajectory of $golden', ({ golden: name, prefix }) => {
  const golden = goldenCase(name);
  test.skipIf(!golden.present)(`four Euler steps from noise ${golden.reason}`, () =>
    withEngine(operations[0]!, async (engine) => {
      const { flux, config } = await loadFlux(engine, golden.path('model.safetensors'), prefix);
      const inputs = golden.tensors('inputs.safetensors');
      const expected = golden.tensors('expected.safetensors');
      const noise = element(inputs.get('noise')!, 0);
      const [, rows, columns] = noise.shape as [number, number, number];
      const shift = config.guidance ? timeShift(flux1Mu((rows / 2) * (columns / 2))) : undefined;
      const sigmas = flow(4, flowLevels(shift));
      assertClose(sigmas, expected.get('traj.sigmas')!.data, toleranceOf(golden, 'traj.sigmas', 'f32'));

      const { guidance_scale: guidance } = golden.json<{ config: { guidance_scale: number | null } }>(
        'case.json',
      ).config;
      const { context, vector } = inputsOf(inputs, 'b1.', 0);
      const conditioning = await flux.condition({
        context,
        ...(vector && { vector }),
        ...(guidance !== null && { guidance }),
      });
      let x = noise.data;
      for (let step = 0; step < 4; step++) {
        const [velocity] = await flux.predict({ data: x, shape: noise.shape }, sigmas[step]!, [conditioning]);
        x = x.map((value, i) => value + (sigmas[step + 1]! - sigmas[step]!) * velocity!.data[i]!);
        const latent = element(expected.get('traj.latents')!, step).data;
        assertClose(x, latent, toleranceOf(golden, 'traj.latents', precisionFor('BF16', operations[0]!)));
      }
    }),
  );
});

const schnell = goldenCase('flux1-schnell');
describe.skipIf(!schnell.present)(`what FLUX is given ${schnell.reason}`, () => {
  const zeros = (...shape: number[]): Tensor => ({
    data: new Float32Array(shape.reduce((product, n) => product * n, 1)),
    shape,
  });
  const refused = { code: 'INVALID_ARGUMENT' };

  test('wrong widths, odd sides, guidance and vectors that do not belong are refused', () =>
    withEngine(operations[0]!, async (engine) => {
      const { flux } = await loadFlux(engine, schnell.path('model.safetensors'), 'model.diffusion_model.');
      const [context, vector] = [zeros(20, 256), zeros(64)];
      await expect(flux.condition({ context: zeros(20, 255), vector })).rejects.toMatchObject(refused);
      await expect(flux.condition({ context })).rejects.toThrow(/conditioning vector/);
      await expect(flux.condition({ context, vector, guidance: 3 })).rejects.toThrow(/distilled guidance/);
      const odd = { context, vector, references: [zeros(16, 5, 4)] };
      await expect(flux.condition(odd)).rejects.toThrow(/reference/);
      const conditioning = await flux.condition({ context, vector });
      await expect(flux.predict(zeros(16, 6, 5), 1, [conditioning])).rejects.toThrow(/even/);
      await expect(flux.predict(zeros(15, 6, 4), 1, [conditioning])).rejects.toMatchObject(refused);
    }));

  test.each(['as they lie', 'by copies'])('streamed weights, %s, predict the same, whatever stays', (way) =>
    withEngine(operations[0]!, async (engine) => {
      const golden = goldenCase('flux1-dev');
      const path = golden.path('model.safetensors');
      const tensors = fluxLayouts[0]!.rename(viewTensors(await readWeightFile(path)));
      const config = readFluxConfig(tensors, path);
      const weights = way === 'by copies' ? shiftWeights(toWeights(tensors)) : toWeights(tensors);
      const inputs = golden.tensors('inputs.safetensors');
      const predict = async (options: LoadOptions) => {
        const flux = await engine.loadDenoiser('flux', config, weights, options);
        const latent = element(inputs.get('b1.latent')!, 0);
        const conditioning = await flux.condition(inputsOf(inputs, 'b1.', 0));
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
        else assertClose(values, whole.values, toleranceOf(golden, 'b1.out', operations[0]!.precision));
        if (way === 'by copies') expect(held).toBeLessThanOrEqual(whole.held * (0.05 + keep));
      }
      for (const keep of [-0.1, 1.1, Number.NaN])
        await expect(predict({ stream: true, keep })).rejects.toThrow(/options\.keep/);
    }),
  );

  test('references change the prediction, and each of them counts', () =>
    withEngine(operations[0]!, async (engine) => {
      const { flux } = await loadFlux(engine, schnell.path('model.safetensors'), 'model.diffusion_model.');
      const wave = (...shape: number[]): Tensor => {
        const tensor = zeros(...shape);
        return { ...tensor, data: tensor.data.map((_, i) => Math.sin(i)) };
      };
      const inputs = { context: wave(20, 256), vector: wave(64) };
      const latent = wave(16, 6, 10);
      const predict = async (references: Tensor[]) => {
        const [out] = await flux.predict(latent, 0.5, [await flux.condition({ ...inputs, references })]);
        expect(out!.shape).toEqual(latent.shape);
        return out!.data;
      };
      const none = await predict([]);
      const one = await predict([wave(16, 4, 8)]);
      const two = await predict([wave(16, 4, 8), wave(16, 8, 2)]);
      expect(one).not.toEqual(none);
      expect(two).not.toEqual(one);
    }));
});
