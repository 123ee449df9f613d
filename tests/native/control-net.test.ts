// ControlNets on UNets against a PyTorch reference: both families, all layouts, batches, strength; and what doesn't fit.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { controlNetLayouts, makeControlNet } from '../../scripts/fixtures/control-net.mjs';
// @ts-expect-error plain JavaScript
import { below, readSafetensors, rename, writeSafetensors } from '../../scripts/fixtures/tensors.mjs';
import { planControlNet } from '../../src/families/control-net.js';
import { convertModel } from '../../src/families/convert-model.js';
import { planNetwork } from '../../src/families/family.js';
import { planModel } from '../../src/families/index.js';
import { inspectFile } from '../../src/families/inspect.js';
import type { ModelPlan } from '../../src/families/types.js';
import type {
  ConditioningInputs,
  ControlNet,
  Denoiser,
  Engine,
  Pixels,
  Tensor,
} from '../../src/native/addon.js';
import { makeFolder } from '../folder.js';
import { assertClose, element, ownCase, readTensors, relativeDifference, toleranceOf } from '../golden.js';
import { readUnet } from '../golden-networks.js';
import { operations, withEngine } from './networks.js';

// Made from the project's own cases by tests/fixtures/controlnet/make.py.
const expected = readTensors(resolve(import.meta.dirname, '../fixtures/controlnet/expected.safetensors'));
const scratch = makeFolder();

const families = {
  sd1: { golden: ownCase('unet-sd1'), seed: 1000 },
  sdxl: { golden: ownCase('unet-sdxl'), seed: 3000 },
};
type FamilyName = keyof typeof families;
const names = Object.keys(families) as FamilyName[];

/** By the names of a layout, in a file of its own. */
function writeControl(
  family: FamilyName,
  layout = 'original',
  change = (tensors: unknown) => tensors,
): string {
  const { golden, seed } = families[family];
  const unet = below(readSafetensors(golden.weights()), 'model.diffusion_model.');
  const path = join(scratch, `${family}-${layout}-${Math.random()}.safetensors`);
  writeSafetensors(path, change(controlNetLayouts[layout](makeControlNet(unet, seed))));
  return path;
}

/** As much of a plan as a ControlNet is read against: SDXL's case is a UNet alone. */
async function planUnet(family: FamilyName): Promise<ModelPlan> {
  const { config, tensors } = await readUnet(families[family].golden);
  const denoiser = planNetwork('unet', config, tensors);
  const latent = { channels: config.outChannels, factor: 8 };
  return { family, name: 'the golden UNet', latent, denoiser } as ModelPlan;
}

/** The picture of the reference. */
function draw(width: number, height: number): Pixels {
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    return (x * 37 + y * 53 + c * 91 + ((x >> 4) ^ (y >> 4)) * 29) % 256;
  });
  return { rgb, width, height };
}

interface Loaded {
  unet: Denoiser;
  control: ControlNet;
}

async function load(engine: Engine, family: FamilyName, file: string): Promise<Loaded> {
  const plan = await planUnet(family);
  const { kind, config, weights } = plan.denoiser;
  const found = await planControlNet(file, plan);
  return {
    unet: await engine.loadDenoiser(kind, config, weights),
    control: await engine.loadControlNet(found.kind, found.config, found.weights),
  };
}

/** The second of the golden inputs' batches: latent, timestep and prompt of an element. */
function readElement(family: FamilyName, i: number) {
  const { golden } = families[family];
  const { inputs } = golden;
  const vector = golden.expected.get('b2.y');
  const prompt: ConditioningInputs = {
    context: element(inputs.get('b2.context')!, i),
    ...(vector && { vector: element(vector, i) }),
  };
  return { latent: element(inputs.get('b2.x')!, i), timestep: inputs.get('b2.t')!.data[i]!, prompt };
}

/** Predictions under prompts, all with the ControlNet or all without. */
async function predict(
  { unet, control }: Loaded,
  latent: Tensor,
  timestep: number,
  prompts: ConditioningInputs[],
  strength: number,
  picture = draw(latent.shape[2]! * 8, latent.shape[1]! * 8),
): Promise<Float32Array[]> {
  const steered = await control.condition(picture, prompts);
  const residuals = await control.steer(latent, timestep, steered, strength);
  const conditionings = [];
  for (const prompt of prompts) conditionings.push(await unet.condition(prompt));
  const predictions = await unet.predict(latent, timestep, conditionings, residuals);
  for (const one of [...steered, ...conditionings, ...residuals]) one.close();
  return predictions.map(({ data }) => data);
}

describe.each(operations)('ControlNet on $name', (chosen) => {
  for (const family of names)
    test(`${family}: the UNet's predictions equal the reference's`, () =>
      withEngine(chosen, async (engine) => {
        const loaded = await load(engine, family, writeControl(family));
        const tolerance = toleranceOf(families[family].golden, 'b2.out', chosen.precision);
        for (const i of [0, 1]) {
          const { latent, timestep, prompt } = readElement(family, i);
          const { prompt: other } = readElement(family, 1 - i);
          const answer = element(expected.get(family)!, i).data;
          const [one] = await predict(loaded, latent, timestep, [prompt], 1);
          assertClose(one!, answer, tolerance);
          const [both] = await predict(loaded, latent, timestep, [prompt, other], 1);
          assertClose(both!, answer, tolerance);
          const [weak] = await predict(loaded, latent, timestep, [prompt], 0.4);
          assertClose(weak!, element(expected.get(`${family}.weak`)!, i).data, tolerance);
        }
      }));
});

describe('files', () => {
  const ours = operations[0]!;
  /** The first golden element's prediction with the ControlNet of a file. */
  const compute = (file: string, family: FamilyName = 'sd1') => {
    let made!: Float32Array;
    const run = async (engine: Engine) => {
      const { latent, timestep, prompt } = readElement(family, 0);
      [made] = (await predict(await load(engine, family, file), latent, timestep, [prompt], 1)) as [
        Float32Array,
      ];
    };
    return withEngine(ours, run).then(() => made);
  };

  for (const family of names)
    test(`${family}: every layout gives the same`, async () => {
      const original = await compute(writeControl(family), family);
      for (const layout of ['plain', 'diffusers'])
        expect(await compute(writeControl(family, layout), family)).toEqual(original);
    });

  test('a diffusers folder is one too', async () => {
    const folder = join(scratch, 'canny');
    mkdirSync(folder);
    copyFileSync(writeControl('sd1', 'diffusers'), join(folder, 'diffusion_pytorch_model.safetensors'));
    writeFileSync(join(folder, 'config.json'), '{"_class_name": "ControlNetModel"}');
    expect(await compute(folder)).toEqual(await compute(writeControl('sd1')));
  });

  test('8 bits give nearly the same', async () => {
    const output = join(scratch, 'control-q8.gguf');
    await convertModel({ input: writeControl('sd1'), output, type: 'q8_0' });
    const [q8, full] = [await compute(output), await compute(writeControl('sd1'))];
    expect(q8).not.toEqual(full);
    expect(relativeDifference(q8, full)).toBeLessThan(0.03);
  });

  test('its tensors tell what it is', async () => {
    expect((await inspectFile(writeControl('sd1'))).summary).toBe('ControlNet for Stable Diffusion 1.x');
    const xl = await inspectFile(writeControl('sdxl', 'diffusers'));
    expect(xl.summary).toBe('ControlNet for Stable Diffusion XL');
    expect(xl.networks).toMatchObject([{ kind: 'controlnet', layout: 'diffusers' }]);
  });

  test('another family, missing tensors, other networks and other models are refused with the reason', async () => {
    const plan = await planUnet('sd1');
    const other = writeControl('sdxl');
    await expect(planControlNet(other, plan)).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
      message: expect.stringMatching(
        /^.*sdxl-original.*another family.* found 4 latent channels, levels of 32, 64, 32 .*vector of 1568; .*\(sd1\) has .*32, 64, 32, 32/,
      ),
      hint: expect.stringContaining('trained for this kind of model'),
    });
    const without = (missing: string) =>
      writeControl('sd1', 'plain', (tensors) =>
        rename(tensors, (name: string) => (name === missing ? undefined : name)),
      );
    for (const name of [
      'zero_convs.7.0.bias',
      'input_hint_block.10.weight',
      'middle_block_out.0.weight',
      'input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight',
    ]) {
      const file = without(name);
      await expect(planControlNet(file, plan)).rejects.toMatchObject({
        code: 'WEIGHTS_INVALID',
        message: `${file}: the tensor ${name} is missing`,
      });
    }
    const union = writeControl('sd1', 'diffusers', (tensors) =>
      new Map(tensors as Map<string, unknown>).set(
        'task_embedding',
        [...(tensors as Map<string, unknown>).values()][0],
      ),
    );
    await expect(planControlNet(union, plan)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('a ControlNet Union'),
    });
    const model = families.sd1.golden.weights();
    await expect(planControlNet(model, plan)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/a UNet and .*; a ControlNet was expected/),
    });
    const flux = { ...plan, family: 'flux', denoiser: { ...plan.denoiser, kind: 'flux' } };
    await expect(planControlNet(other, flux)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('the family flux, which takes no ControlNet'),
    });
  });

  test('as a model it is refused with the options that use it', () =>
    expect(planModel({ model: writeControl('sd1') })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      hint: expect.stringMatching(/--control .* --control-image/),
    }));
});

describe('what a ControlNet is asked', () => {
  test('another size, other residuals and closed ones are refused', () =>
    withEngine(operations[0]!, async (engine) => {
      const { unet, control } = await load(engine, 'sd1', writeControl('sd1'));
      const { latent, timestep, prompt } = readElement('sd1', 0);
      const refused = { code: 'INVALID_ARGUMENT' };
      const [small] = await control.condition(draw(64, 64), [prompt]);
      await expect(control.steer(latent, timestep, [small!], 1)).rejects.toMatchObject({
        ...refused,
        message: expect.stringContaining('64x64 pixels'),
      });
      await expect(control.condition(draw(60, 64), [prompt])).rejects.toMatchObject(refused);
      await expect(control.condition(draw(64, 64), [])).rejects.toMatchObject(refused);
      const conditioning = await unet.condition(prompt);
      const square: Tensor = { data: latent.data.slice(0, 4 * 64), shape: [4, 8, 8] };
      const residuals = await control.steer(square, timestep, [small!], 1);
      await expect(unet.predict(latent, timestep, [conditioning], residuals)).rejects.toMatchObject(refused);
      await expect(
        unet.predict(square, timestep, [conditioning, conditioning], residuals),
      ).rejects.toMatchObject(refused);
      await expect(unet.predict(square, timestep, [small!], residuals)).rejects.toMatchObject({
        ...refused,
        message: expect.stringContaining('made by another network'),
      });
      residuals[0]!.close();
      await expect(unet.predict(square, timestep, [conditioning], residuals)).rejects.toMatchObject({
        code: 'CLOSED',
      });
      expect((await unet.predict(square, timestep, [conditioning])).length).toBe(1);
    }));
});
