// The UNet against its golden cases: SD 1.x, inpainting, quantised, SD 2.x and SDXL; and what it refuses.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { convertModel } from '../../src/families/convert-model.js';
import type { UnetConfig } from '../../src/families/networks/unet.js';
import { toWeights } from '../../src/families/tensors.js';
import type { ConditioningInputs, Denoiser, Tensor } from '../../src/native/addon.js';
import { readTensorRule } from '../../src/weights/convert-rules.js';
import { onCpu } from '../device.js';
import { makeFolder } from '../folder.js';
import {
  assertClose,
  element,
  type GoldenCase,
  type GoldenTensor,
  goldenCase,
  groupsOf,
  type Precision,
  toleranceOf,
} from '../golden.js';
import { networksIn, readUnet } from '../golden-networks.js';
import { type Operations, operations, withEngine } from './networks.js';

const cases = ['unet-sd1', 'unet-sd1-inpaint', 'quant-unet-sd1', 'unet-sd2', 'unet-sdxl'];
const sd1 = goldenCase('unet-sd1');

/** The expected prediction for a group of inputs. */
function answerOf(golden: GoldenCase, group: string): string {
  const name = [...golden.expected.keys()].find((key) => key.startsWith(group) && key.endsWith('out'));
  if (name === undefined) throw new Error(`${golden.name} expects no prediction for ${group}`);
  return name;
}

describe.each(operations)('UNet on $name', (chosen) => {
  test.each(cases)('%s', (name) =>
    withEngine(chosen, async (engine) => {
      const golden = goldenCase(name);
      const { config, weights } = await readUnet(golden);
      const unet = await engine.loadDenoiser('unet', config, weights);
      // both sets of operations round what they multiply with quantised weights
      const precision = golden.weights().endsWith('.gguf') ? 'f16_gemm' : chosen.precision;
      for (const group of groupsOf(golden.inputs, 'x'))
        await expectPredictions(unet, golden, config, group, precision);
    }),
  );
});

/** Each element of a group by itself, and in a batch with a copy of itself. */
async function expectPredictions(
  unet: Denoiser,
  golden: GoldenCase,
  config: UnetConfig,
  group: string,
  precision: Precision,
): Promise<void> {
  const { inputs, expected } = golden;
  const name = answerOf(golden, group);
  const tolerance = toleranceOf(golden, name, precision);
  const x = inputs.get(`${group}x`)!;
  for (let i = 0; i < x.shape[0]!; i++) {
    const [latent, concat] = splitChannels(element(x, i), config.outChannels);
    const conditions: ConditioningInputs = { context: element(inputs.get(`${group}context`)!, i) };
    if (config.vectorWidth) conditions.vector = element(expected.get(`${group}y`)!, i);
    if (concat) conditions.concat = concat;
    const timestep = inputs.get(`${group}t`)!.data[i]!;
    const one = await unet.condition(conditions);
    const two = await unet.condition(conditions);
    const answer = element(expected.get(name)!, i).data;
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

/** The noisy latent, and the mask channels behind it where there are any. */
function splitChannels(tensor: GoldenTensor, first: number): [Tensor, Tensor | undefined] {
  const [channels, height, width] = tensor.shape as [number, number, number];
  const latent = { data: tensor.data.slice(0, first * height * width), shape: [first, height, width] };
  if (channels === first) return [latent, undefined];
  return [
    latent,
    { data: tensor.data.slice(first * height * width), shape: [channels - first, height, width] },
  ];
}

test.skipIf(!onCpu)(
  'kernels of 8 bits give what F32 operations give, within what 8-bit activations may cost (needs the CPU)',
  async () => {
    const { config } = await readUnet(sd1);
    const output = join(makeFolder('unet'), 'unet.gguf');
    const kernels = /\.(in_layers|out_layers|op|conv|proj_in|proj_out|skip_connection)\./;
    const rule = readTensorRule(`diffusion_model.*${kernels.source}=q8_0`);
    await convertModel({ input: sd1.weights(), output, type: 'f16', rules: [rule] });
    const { tensors } = (await networksIn(output, 'unet'))[0]!;
    const chosen = [...tensors].filter(([name, { shape }]) => kernels.test(name) && shape.length === 4);
    expect(chosen.length).toBeGreaterThan(0);
    for (const [name, { shape, tapsFirst }] of chosen)
      expect(tapsFirst, name).toBe(shape[1]! % 32 === 0 ? true : undefined);

    const [group] = groupsOf(sd1.inputs, 'x');
    const of = (name: string) => element(sd1.inputs.get(group + name)!, 0);
    const predict = async (one: Operations): Promise<Float32Array> => {
      let found!: Float32Array;
      await withEngine(one, async (engine) => {
        const unet = await engine.loadDenoiser('unet', config, toWeights(tensors));
        const conditioning = await unet.condition({ context: of('context') });
        const [prediction] = await unet.predict(of('x'), 500, [conditioning]);
        found = prediction!.data;
      });
      return found;
    };
    const [ours, ggml] = [await predict(operations[0]!), await predict(operations[1]!)];
    const quantised = goldenCase('quant-unet-sd1');
    assertClose(ours, ggml, toleranceOf(quantised, answerOf(quantised, ''), 'f16_gemm'));
    expect(ours).not.toEqual(ggml);
  },
);

describe("the UNet's inputs", () => {
  const withUnet = (run: (unet: Denoiser, config: UnetConfig) => Promise<void>) =>
    withEngine(operations[0]!, async (engine) => {
      const { config, weights } = await readUnet(sd1);
      await run(await engine.loadDenoiser('unet', config, weights), config);
    });
  const zeros = (...shape: number[]): Tensor => ({
    data: new Float32Array(shape.reduce((product, n) => product * n, 1)),
    shape,
  });

  test('conditionings of different lengths are predicted as each by itself', () =>
    withUnet(async (unet, { contextWidth, inChannels }) => {
      const context = (tokens: number): Tensor => {
        const { data, shape } = zeros(tokens, contextWidth);
        return { data: data.map((_, i) => Math.sin(i)), shape };
      };
      const { data, shape } = zeros(inChannels, 8, 12);
      const latent: Tensor = { data: data.map((_, i) => Math.cos(i)), shape };
      const short = await unet.condition({ context: context(77) });
      const long = await unet.condition({ context: context(154) });
      const [together, , last] = await unet.predict(latent, 500, [long, short, long]);
      const [alone] = await unet.predict(latent, 500, [long]);
      // a GPU rounds to F16, and how depends on the batch; the short one's prediction is 0.025 away
      const rounding = onCpu ? { max_abs: 1e-4, rel_l2: 1e-5 } : { rel_l2: 0.01 };
      assertClose(together!.data, alone!.data, rounding);
      assertClose(last!.data, alone!.data, rounding);
    }));

  test('latents whose sides become odd on the way down keep their size', () =>
    withUnet(async (unet, { contextWidth, inChannels }) => {
      const conditioning = await unet.condition({ context: zeros(77, contextWidth) });
      const [prediction] = await unet.predict(zeros(inChannels, 9, 13), 1, [conditioning]);
      expect(prediction!.shape).toEqual([inChannels, 9, 13]);
      expect(prediction!.data.every(Number.isFinite)).toBe(true);
    }));

  test('what does not fit the network is refused', () =>
    withUnet(async (unet, { contextWidth, inChannels }) => {
      const refused = { code: 'INVALID_ARGUMENT' };
      const context = zeros(77, contextWidth);
      await expect(unet.condition({ context: zeros(77, contextWidth + 1) })).rejects.toMatchObject(refused);
      await expect(unet.condition({ context, vector: zeros(8) })).rejects.toMatchObject(refused);
      const conditioning = await unet.condition({ context });
      for (const channels of [inChannels + 1, inChannels - 1])
        await expect(unet.predict(zeros(channels, 8, 8), 1, [conditioning])).rejects.toMatchObject(refused);
    }));
});
