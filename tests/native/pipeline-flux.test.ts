// The FLUX pipelines: FLUX.2 klein against the reference's end-to-end case, LoRAs and text encoders on FLUX.1.
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findRuntime, planModel } from '../../src/families/index.js';
import type { ModelPlan } from '../../src/families/types.js';
import type { ConditioningInputs, Engine, Pixels } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import { flow } from '../../src/sampling/schedules.js';
import { onCpu, testDevice } from '../device.js';
import { assertClose, element, goldenCase, relativeDifference, toleranceOf } from '../golden.js';
import { readT5 } from '../golden-networks.js';
import { filesOfKlein, planFlux1, planKlein, planSd1 } from '../golden-plans.js';

interface Stated {
  prompt: string;
  max_length: number;
  steps: number;
  /** Of the base model; the distilled one has none. */
  guidance_scale: number;
  noise_seed: number;
}

const klein = goldenCase('e2e-flux2-klein');
const { expected } = klein;
const stated = klein.config<Stated>();
// weights are BF16 and F16, and the reference picture comes as 8-bit pixels
const precision = onCpu ? 'f16_gemm' : 'bf16_gemm';
const [height, width] = expected.get('klein.image')!.shape.slice(2) as [number, number];
const size = { width, height };

describe('e2e-flux2-klein', () => {
  const files = filesOfKlein();
  let engine: Engine;
  let plan: ModelPlan;

  beforeAll(async () => {
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
    expect((await planModel(files)).textEncoders[0]!.rowLength).toBe(512);
    plan = await planKlein(stated.max_length);
  });
  afterAll(() => engine?.close());

  async function expectRun(
    name: string,
    guidance: number,
    change: Partial<GenerationOptions>,
  ): Promise<void> {
    // the files don't say whether they are klein or its base; the plan's default guidance does
    const model = new LoadedModel(engine, files, { ...plan, defaults: { ...plan.defaults, guidance } });
    const { prompt, noise_seed: seed, steps, guidance_scale } = stated;
    const options = { prompt, seed, ...size, steps, guidance: guidance_scale, ...change };
    const x: Float32Array[] = [];
    const request = resolveRequest({ ...options, noise: 'torch' }, files, model.plan);
    const { images } = await generate(model, request, { onStep: (_, latent) => x.push(latent.slice()) });
    await model.close();

    const latents = expected.get(`${name}.latents`)!;
    expect(x).toHaveLength(latents.shape[0]!);
    for (const [step, latent] of x.entries())
      assertClose(latent, element(latents, step).data, toleranceOf(klein, `${name}.latents`, precision));
    const { pixels } = images[0]!;
    expect({ width: pixels.width, height: pixels.height }).toEqual(size);
    const picture = expected.get(`${name}.image`)!.data;
    const planes = Float32Array.from(
      picture,
      (_, i) => pixels.rgb[(i % (width * height)) * 3 + Math.floor(i / (width * height))]! / 255,
    );
    expect(relativeDifference(planes, picture)).toBeLessThan(0.005);
  }

  async function expectContext(model: LoadedModel): Promise<void> {
    const { prompt } = stated;
    const words = { prompt, negativePrompt: '', guidance: stated.guidance_scale, clipSkip: 1, ...size };
    const { positive, negative } = await model.encodePrompts(words, undefined);
    const context = expected.get('context')!;
    expect(positive.context.shape).toEqual(context.shape.slice(1));
    expect(negative).toBeUndefined();
    assertClose(positive.context.data, context.data, toleranceOf(klein, 'context', precision));
  }

  it('encodes the prompt to the same states, and shifts the schedule as far', async () => {
    const model = new LoadedModel(engine, files, plan);
    await expectContext(model);
    const { steps } = stated;
    const sigmas = flow(steps, model.runtime.noiseLevels(plan, { ...size, steps }));
    assertClose(sigmas, expected.get('sigmas')!.data, toleranceOf(klein, 'sigmas', 'f32'));
    await model.close();
  });

  it('encodes it to the same states from a GGUF file, which brings its own tokenizer', async () => {
    const gguf = { ...files, llm: goldenCase('flux2-text-qwen3').weights('gguf') };
    const model = new LoadedModel(engine, gguf, await planKlein(stated.max_length, gguf));
    await expectContext(model);
    await model.close();
  });

  it('klein: no guidance, whatever is asked', () => expectRun('klein', 1, {}));

  it('its base: guided by an empty prompt', () => expectRun('base', stated.guidance_scale, {}));

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

describe('FLUX.1', () => {
  const lora = goldenCase('lora-flux1');
  const { base, strength } = lora.config<{ base: string; strength: number }>();
  const loras = Object.keys(lora.facts.files!).filter((file) => !/^(inputs|expected)\./.test(file));
  let engine: Engine;
  let plan: ModelPlan;

  beforeAll(async () => {
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 1 });
    plan = await planFlux1(goldenCase(base), lora.weights());
  });
  afterAll(() => engine?.close());

  it.each([
    [[], 'base.out'],
    ...loras.map((file): [string[], string] => [[file], file.replace('.safetensors', '.out')]),
  ])('with LoRAs %j predicts %s', async (chosen, name) => {
    const warnings: string[] = [];
    const model = new LoadedModel(engine, { model: '' }, plan, {
      log: (_, message) => warnings.push(message),
    });
    await model.useLoras(chosen.map((file) => ({ path: lora.path(file), strength })));
    const { inputs } = lora;
    const of = (input: string) => inputs.get(`b1.${input}`);
    const guidance = of('guidance')?.data[0];
    const conditions: ConditioningInputs = {
      context: element(of('context')!, 0),
      vector: element(of('pooled')!, 0),
      ...(guidance !== undefined && { guidance }),
    };
    const denoiser = await model.loadDenoiser();
    const conditioning = await denoiser.condition(conditions);
    const [out] = await denoiser.predict(element(of('latent')!, 0), of('t')!.data[0]!, [conditioning]);
    assertClose(out!.data, lora.expected.get(name)!.data, toleranceOf(lora, name, precision));
    expect(warnings).toEqual([]);
    await model.close();
  });

  it("gives T5's states of the padded row and CLIP's pooled state", async () => {
    const t5 = goldenCase('t5-encoder');
    const { config, weights } = await readT5(t5, 'gguf');
    const wide = plan.textEncoders[1]!;
    const clip = (await planSd1()).textEncoders[0]!; // with the whole vocabulary
    const narrow = { ...wide, config, weights, layers: [config.layers] };
    const model = new LoadedModel(engine, { model: '' }, { ...plan, textEncoders: [clip, narrow] });
    const [{ prompt, ids }] = t5.json<[{ prompt: string; ids: number[] }]>('prompts.json');
    const words = { prompt, negativePrompt: '', guidance: 3.5, clipSkip: 1, width: 64, height: 64 };
    const { positive, negative } = await model.encodePrompts(words, undefined);
    await model.close();
    expect(negative).toBeUndefined();
    expect(positive.guidance).toBeUndefined();
    expect(positive.vector!.shape).toEqual([(clip.config as { width: number }).width]);

    const row = new Int32Array(wide.rowLength!);
    row.set(ids);
    const encoder = await engine.loadTextEncoder('t5', config, weights);
    const { hidden } = await encoder.encode(row);
    await encoder.close();
    expect(positive.context).toEqual(hidden[0]);
  });

  it("shifts dev's schedule with the size, schnell's never", () => {
    const sigmas = (guidance: boolean, side: number) => {
      const denoiser = { ...plan.denoiser, config: { ...plan.denoiser.config, guidance } };
      const square = { width: side, height: side, steps: 2 };
      return Array.from(flow(2, findRuntime('flux').noiseLevels({ ...plan, denoiser }, square)));
    };
    expect(sigmas(false, 1024)).toEqual([1, 0.5, 0]);
    // mu is 0.5 at 256 tokens and 1.15 at 4096: at sigma 1/2 the shift gives e^mu / (e^mu + 1)
    expect(sigmas(true, 256)[1]).toBeCloseTo(0.62246, 5);
    expect(sigmas(true, 1024)[1]).toBeCloseTo(0.75951, 5);
  });
});
