// Whole runs of files that say how they are sampled, against the same steps written out here: the factors, timesteps
// and sigmas are the papers', the network is the addon's.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Conditioning } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { createNoise } from '../../src/sampling/index.js';
import { testDevice } from '../device.js';
import { goldenCase } from '../golden.js';
import { planSd1 } from '../golden-plans.js';
import { type Added, mark, withTensors } from '../unit/families/with-tensors.js';

const STEPS = 7;
const SEED = 11;
const GUIDANCE = 5;
const shape = [4, 8, 8];
const mean = [0.4, -0.2, 0.1, 0.6];
const std = [5, 4, 6, 5.5];

const { schedules } = JSON.parse(
  readFileSync(new URL('../fixtures/sampling/expected.json', import.meta.url), 'utf8'),
) as { schedules: Record<string, Record<string, number[]>> };

interface Step {
  /** c_skip, c_out, c_in and the timestep. */
  skip: number;
  out: number;
  scale: number;
  timestep: number;
}

interface Case {
  title: string;
  tensors: Record<string, Added>;
  schedule: string;
  sigmas: number[];
  step: (sigma: number, index: number) => Step;
}

const velocity = (sigma: number) => {
  const total = Math.sqrt(sigma ** 2 + 1);
  return { skip: 1 / total ** 2, out: -sigma / total, scale: 1 / total };
};

const cases: Case[] = [
  {
    title: 'v and zero terminal SNR',
    tensors: { v_pred: mark, ztsnr: mark },
    schedule: 'trailing',
    sigmas: schedules.zero![`trailing/${STEPS}`]!,
    step: (sigma, i) => ({ ...velocity(sigma), timestep: Math.round(1000 - (i * 1000) / STEPS) - 1 }),
  },
  {
    title: 'EDM',
    tensors: {
      edm_mean: { shape: [1, 4, 1, 1], values: mean },
      edm_std: { shape: [1, 4, 1, 1], values: std },
    },
    schedule: 'karras',
    sigmas: schedules.edm![`karras/${STEPS}`]!,
    step: (sigma) => {
      const total = sigma ** 2 + 0.25;
      return {
        skip: 0.25 / total,
        out: (sigma * 0.5) / Math.sqrt(total),
        scale: 1 / Math.sqrt(total),
        timestep: 0.25 * Math.log(sigma),
      };
    },
  },
  {
    title: 'EDM with velocity',
    tensors: { 'edm_vpred.sigma_max': { shape: [], values: [120] } },
    schedule: 'exponential',
    sigmas: schedules.cosxl![`exponential/${STEPS}`]!,
    step: (sigma) => ({ ...velocity(sigma), timestep: 0.25 * Math.log(sigma) }),
  },
];

const deviation = (values: Float32Array) => {
  const average = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - average) ** 2, 0) / values.length);
};

describe.each(cases)('$title', ({ tensors, schedule, sigmas, step }) => {
  let model: LoadedModel;
  beforeAll(async () => {
    const path = withTensors(goldenCase('e2e-sd1').weights(), tensors);
    const engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    model = new LoadedModel(engine, { model: path }, await planSd1(path));
  });
  afterAll(async () => {
    await model.close();
    await model.engine.close();
  });

  const words = { prompt: 'a red fox', negativePrompt: 'blurry', guidance: GUIDANCE };

  async function run(options: Partial<GenerationOptions> = {}) {
    const asked = { ...words, width: 64, height: 64, steps: STEPS, seed: SEED, sampler: 'euler', ...options };
    const request = resolveRequest(asked, model.files, model.plan);
    let latent: Float32Array | undefined;
    const result = await generate(model, request, { onLatent: (_, found) => (latent = found.slice()) });
    return { ...result, latent: latent!, schedule: request.schedule };
  }

  async function byHand(rescale: number): Promise<Float32Array> {
    const denoiser = await model.loadDenoiser();
    const prompts = await model.encodePrompts({ ...words, clipSkip: 1, width: 64, height: 64 }, undefined);
    const conditionings: Conditioning[] = [];
    for (const inputs of [prompts.positive, prompts.negative!])
      conditionings.push(await denoiser.condition(inputs));
    let x = createNoise('philox', SEED)(256).map((value) => value * sigmas[0]!);
    for (let i = 0; i < STEPS; i++) {
      const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
      const { skip, out, scale, timestep } = step(sigma, i);
      const input = { data: x.map((value) => value * scale), shape };
      const [positive, negative] = await denoiser.predict(input, timestep, conditionings);
      const guided = positive!.data.map(
        (value, j) => negative!.data[j]! + GUIDANCE * (value - negative!.data[j]!),
      );
      const factor = (rescale * deviation(positive!.data)) / deviation(guided) + (1 - rescale);
      x = x.map((value, j) => {
        const denoised = skip * value + out * guided[j]! * factor;
        return denoised + (next / sigma) * (value - denoised);
      });
    }
    for (const conditioning of conditionings) conditioning.close();
    return x;
  }

  it.each([0, 0.7])(
    'makes the latent of the published rule, with guidance rescale %d',
    async (guidanceRescale) => {
      const { latent, notes, schedule: used } = await run({ guidanceRescale, schedule });
      expect(used).toBe(schedule);
      const wanted = await byHand(guidanceRescale);
      const scale = Math.max(...wanted.map(Math.abs));
      for (const [i, value] of wanted.entries())
        expect(Math.abs(latent[i]! - value), `${i}: ${latent[i]} and ${value}`).toBeLessThan(2e-4 * scale);
      const suggests = 'ztsnr' in tensors && guidanceRescale === 0;
      expect(notes).toEqual(suggests ? [expect.stringContaining('guidance_rescale of 0.7')] : []);
    },
  );

  it('has the schedule by default', async () => {
    expect((await run()).schedule).toBe(schedule);
  });

  it('decodes the latent as the autoencoder knows it', async () => {
    const { latent, images } = await run();
    const { kind, config, weights } = model.plan.autoencoder;
    const plain = await model.engine.loadAutoencoder(kind, config, weights);
    const data =
      'edm_std' in tensors
        ? latent.map((value, i) => {
            const c = Math.floor(i / 64);
            return ((value * std[c]!) / 0.5 + mean[c]!) * 0.18215;
          })
        : latent;
    const wanted = await plain.decode({ data, shape });
    const differences = images[0]!.pixels.rgb.map((value, i) => Math.abs(value - wanted.rgb[i]!));
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
    // and back: what is encoded and decoded is the same picture as without statistics
    const own = await model.loadAutoencoder();
    const encoded = await own.encode(wanted);
    const plainEncoded = await plain.encode(wanted);
    const back = await own.decode(encoded.mean);
    const plainBack = await plain.decode(plainEncoded.mean);
    expect(Math.max(...back.rgb.map((value, i) => Math.abs(value - plainBack.rgb[i]!)))).toBeLessThanOrEqual(
      1,
    );
    await plain.close();
  });
});
