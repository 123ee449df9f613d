// The UNet against its golden cases: SD 1.x, inpainting, quantised, SD 2.x, SDXL, and with a LoRA.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { convertModel } from '../../src/families/convert-model.js';
import type { UnetConfig } from '../../src/families/networks/unet.js';
import type { ConditioningInputs, Denoiser, Tensor } from '../../src/native/addon.js';
import { readTensorRule } from '../../src/weights/convert-rules.js';
import { onCpu } from '../device.js';
import {
  assertClose,
  element,
  type GoldenCase,
  type GoldenTensor,
  goldenCase,
  type Precision,
  toleranceOf,
} from '../golden.js';
import { operations, weightsFrom, withEngine } from './networks.js';

const common = {
  ...{ inChannels: 4, outChannels: 4, modelChannels: 32, channels: [32, 32, 32, 32], resBlocks: 2 },
  ...{ depth: [1, 1, 1, 0], middleDepth: 1, normGroups: 32, vectorWidth: 0 },
};
const sd1: UnetConfig = {
  ...common,
  channels: [32, 64, 32, 32],
  contextWidth: 32,
  heads: 8,
  linearProjection: false,
};
const sd2: UnetConfig = { ...common, contextWidth: 64, headDim: 16, linearProjection: true };
const sdxl: UnetConfig = {
  ...sd2,
  channels: [32, 64, 32],
  depth: [0, 1, 2],
  middleDepth: 2,
  vectorWidth: 1568,
};

const variants: {
  golden: string;
  file: string;
  config: UnetConfig;
  batches: string[];
  expected: string;
  quantised?: boolean;
}[] = [
  {
    golden: 'unet-sd1',
    file: '../e2e-sd1/model.safetensors',
    config: sd1,
    batches: ['b1.', 'b2.'],
    expected: 'out',
  },
  {
    golden: 'unet-sd1-inpaint',
    file: 'model.safetensors',
    config: { ...sd1, inChannels: 9, channels: [32, 32, 32, 32] },
    batches: ['b1.', 'b2.'],
    expected: 'out',
  },
  {
    golden: 'quant-unet-sd1',
    file: 'unet.gguf',
    config: { ...sd1, channels: [32, 32, 32, 32] },
    batches: [''],
    expected: 'mixed.out',
    quantised: true, // both sets of operations quantise activations
  },
  { golden: 'unet-sd2', file: 'model.safetensors', config: sd2, batches: ['b1.', 'b2.'], expected: 'out' },
  { golden: 'unet-sdxl', file: 'model.safetensors', config: sdxl, batches: ['b1.', 'b2.'], expected: 'out' },
];

describe.each(operations)('UNet on $name', (chosen) => {
  for (const variant of variants) {
    const golden = goldenCase(variant.golden);
    test.skipIf(!golden.present)(`${variant.golden} ${golden.reason}`, () =>
      withEngine(chosen, async (engine) => {
        const weights = await weightsFrom(golden.path(variant.file), 'model.diffusion_model.');
        const unet = await engine.loadDenoiser('unet', variant.config, weights);
        for (const batch of variant.batches) {
          const precision = variant.quantised ? 'f16_gemm' : chosen.precision;
          await expectPredictions(unet, golden, variant.config, batch, variant.expected, precision);
        }
      }),
    );
  }
});

/** Every element of the case's batch by itself, and in a batch with itself and the others. */
async function expectPredictions(
  unet: Denoiser,
  golden: GoldenCase,
  config: UnetConfig,
  batch: string,
  expectedName: string,
  precision: Precision,
): Promise<void> {
  const inputs = golden.tensors('inputs.safetensors');
  const expected = golden.tensors('expected.safetensors');
  const x = inputs.get(`${batch}x`)!;
  const tolerance = toleranceOf(golden, batch + expectedName, precision);
  for (let i = 0; i < x.shape[0]!; i++) {
    const [latent, concat] = splitChannels(element(x, i), 4);
    const conditions: ConditioningInputs = { context: element(inputs.get(`${batch}context`)!, i) };
    if (config.vectorWidth) conditions.vector = element(expected.get(`${batch}y`)!, i);
    if (concat) conditions.concat = concat;
    const timestep = inputs.get(`${batch}t`)!.data[i]!;
    const one = await unet.condition(conditions);
    const two = await unet.condition(conditions);
    const answer = element(expected.get(batch + expectedName)!, i).data;
    for (const conditionings of [[one], [one, two]]) {
      const predictions = await unet.predict(latent, timestep, conditionings);
      expect(predictions).toHaveLength(conditionings.length);
      for (const prediction of predictions) {
        expect(prediction.shape).toEqual([config.outChannels, ...latent.shape.slice(1)]);
        assertClose(prediction.data, answer, tolerance);
      }
    }
    one.close();
    two.close();
  }
}

function splitChannels(tensor: GoldenTensor, first: number): [Tensor, Tensor | undefined] {
  const [channels, height, width] = tensor.shape as [number, number, number];
  const latent = { data: tensor.data.slice(0, first * height * width), shape: [first, height, width] };
  if (channels === first) return [latent, undefined];
  return [
    latent,
    { data: tensor.data.slice(first * height * width), shape: [channels - first, height, width] },
  ];
}

const quantised = goldenCase('quant-unet-sd1');
const full = goldenCase('unet-sd1');
test.skipIf(!quantised.present || !full.present || !onCpu)(
  `kernels of 8 bits give what F32 operations give, within what 8-bit activations may cost ${full.reason}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'imageforge-unet-'));
    try {
      const output = join(folder, 'unet.gguf');
      await convertModel({
        input: full.path('../e2e-sd1/model.safetensors'),
        output,
        type: 'f16',
        rules: [readTensorRule('diffusion_model.*(in_layers|out_layers|op|conv|proj_in|proj_out|skip)=q8_0')],
      });
      const weights = await weightsFrom(output, 'model.diffusion_model.');
      expect(weights.tensors.filter(({ tapsFirst }) => tapsFirst).length).toBeGreaterThan(40);
      const inputs = full.tensors('inputs.safetensors');
      const predict = async (chosen: (typeof operations)[number]): Promise<Float32Array> => {
        let found!: Float32Array;
        await withEngine(chosen, async (engine) => {
          const unet = await engine.loadDenoiser('unet', sd1, weights);
          const conditioning = await unet.condition({ context: element(inputs.get('b1.context')!, 0) });
          const [prediction] = await unet.predict(element(inputs.get('b1.x')!, 0), 500, [conditioning]);
          found = prediction!.data;
        });
        return found;
      };
      const [ours, ggml] = [await predict(operations[0]!), await predict(operations[1]!)];
      assertClose(ours, ggml, toleranceOf(quantised, 'mixed.out', 'f16_gemm'));
      expect(ours).not.toEqual(ggml);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

const base = goldenCase('unet-sd1');
describe.skipIf(!base.present)(`the UNet's inputs ${base.reason}`, () => {
  const withUnet = (run: (unet: Denoiser) => Promise<void>) =>
    withEngine(operations[0]!, async (engine) => {
      const weights = await weightsFrom(base.path('../e2e-sd1/model.safetensors'), 'model.diffusion_model.');
      await run(await engine.loadDenoiser('unet', sd1, weights));
    });
  const zeros = (...shape: number[]): Tensor => ({
    data: new Float32Array(shape.reduce((product, n) => product * n, 1)),
    shape,
  });

  test('conditionings of different length are predicted as each by itself', () =>
    withUnet(async (unet) => {
      const context = (tokens: number): Tensor => ({
        data: Float32Array.from({ length: tokens * 32 }, (_, i) => Math.sin(i)),
        shape: [tokens, 32],
      });
      const latent: Tensor = {
        data: Float32Array.from({ length: 4 * 96 }, (_, i) => Math.cos(i)),
        shape: [4, 8, 12],
      };
      const short = await unet.condition({ context: context(77) });
      const long = await unet.condition({ context: context(154) });
      const [together, , last] = await unet.predict(latent, 500, [long, short, long]);
      const [alone] = await unet.predict(latent, 500, [long]);
      // a GPU rounds to F16, and how depends on the batch; the short one's prediction is 0.025 away
      const rounding = onCpu ? { max_abs: 1e-4, rel_l2: 1e-5 } : { rel_l2: 0.01 };
      assertClose(together!.data, alone!.data, rounding);
      assertClose(last!.data, alone!.data, rounding);
    }));

  test('latents whose sides are odd on the way down keep their size', () =>
    withUnet(async (unet) => {
      const conditioning = await unet.condition({ context: zeros(77, 32) });
      const [prediction] = await unet.predict(zeros(4, 9, 13), 1, [conditioning]);
      expect(prediction!.shape).toEqual([4, 9, 13]);
      expect(prediction!.data.every(Number.isFinite)).toBe(true);
    }));

  test('what does not fit the network is refused', () =>
    withUnet(async (unet) => {
      const refused = { code: 'INVALID_ARGUMENT' };
      await expect(unet.condition({ context: zeros(77, 33) })).rejects.toMatchObject(refused);
      await expect(unet.condition({ context: zeros(77, 32), vector: zeros(8) })).rejects.toMatchObject(
        refused,
      );
      const conditioning = await unet.condition({ context: zeros(77, 32) });
      await expect(unet.predict(zeros(5, 8, 8), 1, [conditioning])).rejects.toMatchObject(refused);
      await expect(unet.predict(zeros(3, 8, 8), 1, [conditioning])).rejects.toMatchObject(refused);
    }));
});
