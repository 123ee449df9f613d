// A ControlNet in the pipeline on real networks: which steps it steers, beside what else it works, what it costs.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { convertModel } from '../../src/families/convert-model.js';
import type { Engine, Pixels } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { generate } from '../../src/pipeline/generate.js';
import { LoadedModel } from '../../src/pipeline/loaded-model.js';
import { type GenerationOptions, resolveRequest } from '../../src/pipeline/resolve.js';
import type { Control } from '../../src/pipeline/types.js';
import { writeControlNet } from '../control-file.js';
import { testDevice } from '../device.js';
import { makeFolder } from '../folder.js';
import { goldenCase } from '../golden.js';
import { planSd1 } from '../golden-plans.js';

const golden = goldenCase('e2e-sd1');
const lora = goldenCase('lora-sd1');

function draw(width: number, height: number, shift = 0): Pixels {
  const rgb = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => (i * 7 + (i >> 6) * 31 + shift) % 256,
  );
  return { rgb, width, height };
}

describe('ControlNet in the pipeline', () => {
  const folder = makeFolder();
  let engine: Engine;
  let model: LoadedModel;
  let path: string;

  beforeAll(async () => {
    const files = { model: golden.weights() };
    path = await writeControlNet(join(folder, 'control.safetensors'), files);
    engine = new (loadAddon().Engine)({ device: testDevice, threads: 2 });
    model = new LoadedModel(engine, files, await planSd1());
  });
  afterAll(async () => {
    await model?.close();
    await engine?.close();
  });

  async function run(
    control: Partial<Control> | undefined,
    change: Partial<GenerationOptions> = {},
    drawn = model,
  ) {
    const asked = { prompt: 'a fox', width: 128, height: 64, steps: 4, seed: 7, sampler: 'euler', ...change };
    const request = resolveRequest(asked, drawn.files, drawn.plan);
    const { hires } = request;
    const full: Control | undefined = control && {
      ...{ path, strength: 1, start: 0, end: 1 },
      image: draw(128, 64),
      ...(hires && { hiresImage: draw(hires.width, hires.height) }),
      ...control,
    };
    const steps: Float32Array[] = [];
    const { images } = await generate(drawn, full ? { ...request, control: full } : request, {
      onStep: (_, x) => steps.push(x.slice()),
    });
    return { pixels: images.map((image) => image.pixels), steps };
  }

  it('changes the picture as its picture says, and not at all at strength 0', async () => {
    const plain = await run(undefined);
    const steered = await run({});
    expect(steered.pixels).not.toEqual(plain.pixels);
    expect((await run({})).pixels).toEqual(steered.pixels);
    expect((await run({ image: draw(128, 64, 90) })).pixels).not.toEqual(steered.pixels);
    expect((await run({ strength: 0.5 })).pixels).not.toEqual(steered.pixels);
    expect((await run({ strength: 0 })).pixels).toEqual(plain.pixels);
  });

  it('steers the steps between start and end alone', async () => {
    const plain = await run(undefined);
    const steered = await run({});
    const { steps: late } = await run({ start: 0.5 });
    expect(late.slice(0, 2)).toEqual(plain.steps.slice(0, 2));
    expect(late[2]).not.toEqual(plain.steps[2]);
    const { steps: early } = await run({ end: 0.5 });
    expect(early.slice(0, 2)).toEqual(steered.steps.slice(0, 2));
    expect(early[2]).not.toEqual(steered.steps[2]);
    const control = await model.loadControlNet();
    const steer = vi.spyOn(control, 'steer');
    await run({ start: 0.25, end: 0.75 });
    expect(steer).toHaveBeenCalledTimes(2);
    await run({ start: 0.3, end: 0.4 });
    expect(steer).toHaveBeenCalledTimes(2);
    steer.mockRestore();
  });

  it('reads picture and prompts once for all steps and pictures', async () => {
    await run({});
    const condition = vi.spyOn(await model.loadControlNet(), 'condition');
    await run({}, { batch: 2 });
    expect(condition).toHaveBeenCalledTimes(1);
    expect(condition.mock.calls[0]![1]).toHaveLength(2);
    condition.mockRestore();
  });

  it('works beside a first picture, a second pass and without guidance', async () => {
    for (const change of [
      { init: draw(128, 64, 3), strength: 0.7 },
      { hires: { scale: 1.5, steps: 2, strength: 0.6 } },
      { guidance: 1 },
    ] satisfies Partial<GenerationOptions>[]) {
      const [plain, steered] = [await run(undefined, change), await run({}, change)];
      expect(steered.pixels).not.toEqual(plain.pixels);
      expect((await run({ strength: 0 }, change)).pixels).toEqual(plain.pixels);
    }
    const hires = { scale: 1.5, steps: 2, strength: 0.6 };
    const small = await run({}, { hires });
    const other = await run({ hiresImage: draw(192, 96, 90) }, { hires });
    expect(other.steps.slice(0, 4)).toEqual(small.steps.slice(0, 4));
    expect(other.pixels).not.toEqual(small.pixels);
  });

  it('works beside a LoRA on a quantised UNet', async () => {
    const files = { model: join(folder, 'q8.gguf') };
    await convertModel({ input: golden.weights(), output: files.model, type: 'q8_0' });
    const quantised = new LoadedModel(engine, files, await planSd1(files.model));
    const loras = [{ path: lora.path('kohya.safetensors'), strength: 1 }];
    const pictures = [];
    for (const control of [undefined, {}])
      for (const change of [{}, { loras }])
        pictures.push((await run(control, change, quantised)).pixels[0]!.rgb.join());
    expect(new Set(pictures).size).toBe(4);
    await quantised.close();
  });

  it('gives the same however memory is used, and leaves none behind', async () => {
    const { pixels } = await run({});
    for (const memoryMode of ['offload', 'stream', 'full'] as const)
      expect((await run({}, { memoryMode })).pixels).toEqual(pixels);
    const before = engine.memory();
    await run(undefined);
    const after = engine.memory();
    expect(after.weights + after.mapped).toBeLessThan(before.weights + before.mapped);
  });
});
