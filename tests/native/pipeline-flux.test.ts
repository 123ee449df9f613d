// The FLUX pipelines: FLUX.2 klein against the reference's end-to-end case, LoRAs on FLUX.1.
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findRuntime, planModel } from '../../src/families/index.js';
import { readT5Config, t5Layouts } from '../../src/families/networks/t5.js';
import { toWeights, viewTensors } from '../../src/families/tensors.js';
import type { ModelPlan } from '../../src/families/types.js';
import type { ConditioningInputs, Engine, Pixels } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { flow } from '../../src/sampling/schedules.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { onCpu, testDevice } from '../device.js';
import {
  assertClose,
  element,
  type GoldenTensor,
  goldenCase,
  relativeDifference,
  toleranceOf,
} from '../golden.js';
import { planFlux1, planSd1 } from '../unit/families/golden-plans.js';

const klein = goldenCase('e2e-flux2-klein');
// weights are BF16 and F16, and the reference picture comes as 8-bit pixels
const precision = onCpu ? 'f16_gemm' : 'bf16_gemm';
const size = { width: 64, height: 96 };

describe.skipIf(!klein.present)(`e2e-flux2-klein ${klein.reason}`, () => {
  const expected: Map<string, GoldenTensor> = klein.present
    ? klein.tensors('expected.safetensors')
    : new Map();
  const facts = klein.present
    ? klein.json<{ config: { prompt: string; max_length: number; noise_seed: number } }>('case.json').config
    : undefined;
  const files = {
    model: klein.path('../flux2-klein/model.safetensors'),
    llm: klein.path('../flux2-text-qwen3/qwen3.safetensors'),
    vae: klein.path('../vae-flux2/flux2-vae.safetensors'),
  };
  let engine: Engine;
  let plan: ModelPlan;

  beforeAll(async () => {
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
    plan = await planModel(files);
    expect(plan.textEncoders[0]!.rowLength).toBe(512);
    plan.textEncoders[0]!.rowLength = facts!.max_length;
  });
  afterAll(() => engine?.close());

  async function expectRun(
    name: string,
    guidance: number,
    change: Partial<GenerationOptions>,
  ): Promise<void> {
    // the files don't say whether they are klein or its base; the plan's default guidance does
    const model = new LoadedModel(engine, files, { ...plan, defaults: { ...plan.defaults, guidance } });
    const { prompt, noise_seed: seed } = facts!;
    const options = { prompt, seed, ...size, steps: 4, guidance: 4, noise: 'torch' as const, ...change };
    const x: Float32Array[] = [];
    const request = resolveRequest(options, files, model.plan);
    const { images } = await generate(model, request, { onStep: (_, latent) => x.push(latent.slice()) });
    await model.close();

    const latents = expected.get(`${name}.latents`)!;
    expect(x).toHaveLength(latents.shape[0]!);
    for (const [step, latent] of x.entries())
      assertClose(latent, element(latents, step).data, toleranceOf(klein, `${name}.latents`, precision));
    const { rgb, width, height } = images[0]!.pixels;
    expect({ width, height }).toEqual(size);
    const picture = expected.get(`${name}.image`)!.data;
    const planes = Float32Array.from(
      picture,
      (_, i) => rgb[(i % (width * height)) * 3 + Math.floor(i / (width * height))]! / 255,
    );
    expect(relativeDifference(planes, picture)).toBeLessThan(0.005);
  }

  it('encodes the prompt to the same states, and shifts the schedule as far', async () => {
    const model = new LoadedModel(engine, files, plan);
    const words = { prompt: facts!.prompt, negativePrompt: '', guidance: 4, clipSkip: 1, ...size };
    const { positive, negative } = await model.encodePrompts(words, undefined);
    expect(positive.context.shape).toEqual([facts!.max_length, 192]);
    expect(negative).toBeUndefined();
    assertClose(
      positive.context.data,
      expected.get('context')!.data,
      toleranceOf(klein, 'context', precision),
    );
    const sigmas = flow(4, model.runtime.noiseLevels(plan, { ...size, steps: 4 }));
    assertClose(sigmas, expected.get('sigmas')!.data, toleranceOf(klein, 'sigmas', 'f32'));
    await model.close();
  });

  it('encodes it to the same states from a GGUF file, which brings its own tokenizer', async () => {
    const gguf = { ...files, llm: klein.path('../flux2-text-qwen3/qwen3.gguf') };
    const found = await planModel(gguf);
    found.textEncoders[0]!.rowLength = facts!.max_length;
    const model = new LoadedModel(engine, gguf, found);
    const words = { prompt: facts!.prompt, negativePrompt: '', guidance: 1, clipSkip: 1, ...size };
    const { positive } = await model.encodePrompts(words, undefined);
    assertClose(
      positive.context.data,
      expected.get('context')!.data,
      toleranceOf(klein, 'context', precision),
    );
    await model.close();
  });

  it('klein: four steps, no guidance whatever is asked', () => expectRun('klein', 1, {}));

  it('its base: guided by an empty prompt', () => expectRun('base', 4, {}));

  it('with a reference picture', async () => {
    const { data, info } = await sharp(klein.path('reference.png'))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const reference: Pixels = { rgb: new Uint8Array(data), width: info.width, height: info.height };
    await expectRun('edit', 1, { references: [reference] });
  });

  it('refuses references whose sides the network cannot take', () => {
    const references = [{ rgb: new Uint8Array(60 * 64 * 3), width: 60, height: 64 }];
    expect(() => resolveRequest({ prompt: '', references }, files, plan)).toThrow(/width of references\[0\]/);
  });
});

const lora = goldenCase('lora-flux1');
const t5 = goldenCase('t5-encoder');

describe.skipIf(!lora.present || !t5.present)(`FLUX.1 ${lora.reason}`, () => {
  let engine: Engine;
  let plan: ModelPlan;

  beforeAll(async () => {
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
    plan = await planFlux1();
  });
  afterAll(() => engine?.close());

  it.each([
    [[], 'base.out'],
    [['kohya.safetensors'], 'kohya.out'],
    [['peft.safetensors'], 'peft.out'],
  ])('with LoRAs %j predicts %s', async (files, name) => {
    const warnings: string[] = [];
    const model = new LoadedModel(engine, { model: '' }, plan, {
      log: (_, message) => warnings.push(message),
    });
    await model.useLoras(files.map((file) => ({ path: lora.path(file), strength: 0.8 })));
    const inputs = lora.tensors('inputs.safetensors');
    const of = (input: string) => element(inputs.get(`b1.${input}`)!, 0);
    const conditions: ConditioningInputs = { context: of('context'), vector: of('pooled') };
    const denoiser = await model.loadDenoiser();
    const conditioning = await denoiser.condition(conditions);
    const [out] = await denoiser.predict(of('latent'), inputs.get('b1.t')!.data[0]!, [conditioning]);
    const answer = lora.tensors('expected.safetensors').get(name)!;
    assertClose(out!.data, answer.data, toleranceOf(lora, name, precision));
    expect(warnings).toEqual([]);
    await model.close();
  });

  it("gives T5's states of the padded row and CLIP's pooled state", async () => {
    const path = t5.path('t5xxl.gguf');
    const tensors = t5Layouts[1]!.rename(viewTensors(await readWeightFile(path)));
    const config = readT5Config(tensors, path);
    const wide = plan.textEncoders[1]!;
    const clip = (await planSd1()).textEncoders[0]!; // with the whole vocabulary
    const weights = toWeights(tensors);
    const narrow = { ...wide, config, weights, layers: [config.layers] };
    const model = new LoadedModel(engine, { model: '' }, { ...plan, textEncoders: [clip, narrow] });
    const [{ prompt, ids }] = t5.json<[{ prompt: string; ids: number[] }]>('prompts.json');
    const words = { prompt, negativePrompt: '', guidance: 3.5, clipSkip: 1, width: 64, height: 64 };
    const { positive, negative } = await model.encodePrompts(words, undefined);
    await model.close();
    expect(negative).toBeUndefined();
    expect(positive.guidance).toBeUndefined();
    expect(positive.vector!.shape).toEqual([32]);

    const row = new Int32Array(256);
    row.set(ids);
    const encoder = await engine.loadTextEncoder('t5', config, weights);
    const { hidden } = await encoder.encode(row);
    await encoder.close();
    expect(positive.context).toEqual(hidden[0]);
  });

  it("shifts dev's schedule with the size, schnell's never", () => {
    const sigmas = (guidance: boolean, side: number) => {
      const denoiser = { ...plan.denoiser, config: { ...plan.denoiser.config, guidance } };
      const size = { width: side, height: side, steps: 2 };
      return Array.from(flow(2, findRuntime('flux').noiseLevels({ ...plan, denoiser }, size)));
    };
    expect(sigmas(false, 1024)).toEqual([1, 0.5, 0]);
    // mu is 0.5 at 256 tokens and 1.15 at 4096: at sigma 1/2 the shift gives e^mu / (e^mu + 1)
    expect(sigmas(true, 256)[1]).toBeCloseTo(0.62246, 5);
    expect(sigmas(true, 1024)[1]).toBeCloseTo(0.75951, 5);
  });
});
