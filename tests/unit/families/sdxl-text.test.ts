// SDXL's conditioning: sizes embedded as the reference does, two encoders' states side by side, zeros for an empty prompt.
import { describe, expect, it } from 'vitest';
import { appendSizes, encodeSdxlTexts } from '../../../src/families/sdxl/text.js';
import type { ModelPlan } from '../../../src/families/types.js';
import type { TextEncoder } from '../../../src/native/addon.js';
import { element, goldenCase, groupsOf, maxDifference } from '../../golden.js';

const golden = goldenCase('unet-sdxl');

it.each(groupsOf(golden.inputs, 'text_embeds'))('embeds the six sizes of %s as the reference', (group) => {
  const embeds = golden.inputs.get(`${group}text_embeds`)!;
  const sizes = golden.inputs.get(`${group}time_ids`)!;
  const vectors = golden.expected.get(`${group}y`)!;
  for (let i = 0; i < embeds.shape[0]!; i++) {
    const { data, shape } = appendSizes(element(embeds, i), Array.from(element(sizes, i).data));
    const answer = element(vectors, i);
    expect(shape).toEqual(answer.shape);
    expect(maxDifference(data, answer.data)).toBeLessThan(1e-4);
  }
});

describe('encodeSdxlTexts', () => {
  const calls: { ids: number[]; layers: number[] | undefined; norm: boolean | undefined }[] = [];
  /** An encoder whose states are the token ids, so that a row can be recognised. */
  const createEncoder = (width: number, value: number) =>
    ({
      encode: async (tokens, options) => {
        calls.push({ ids: Array.from(tokens), layers: options?.layers, norm: options?.norm });
        const data = Float32Array.from(
          { length: tokens.length * width },
          (_, i) => tokens[Math.floor(i / width)]!,
        );
        const hidden = [{ data, shape: [tokens.length, width] }];
        return { hidden, pooled: { data: Float32Array.of(value, value), shape: [2] } };
      },
    }) as Partial<TextEncoder> as TextEncoder;
  const encoders = [createEncoder(1, 5), createEncoder(2, 7)];
  const plan = {
    textEncoders: [11, 31].map((layer) => ({ layers: [layer], config: { vocab: 49408 } })),
  } as Partial<ModelPlan> as ModelPlan;
  const request = {
    prompts: ['a fox'],
    negativePrompts: [''],
    guidance: 7,
    clipSkip: 1,
    width: 64,
    height: 32,
  };

  it('puts the states side by side and bigG’s pooled text before the sizes', async () => {
    calls.length = 0;
    const { positives, negatives } = await encodeSdxlTexts(encoders, plan, { ...request, guidance: 0 });
    const positive = positives[0]!;
    expect(negatives).toEqual([]);
    expect(calls.map(({ layers, norm }) => [layers, norm])).toEqual([
      [[11], false],
      [[31], false],
    ]);
    const [l, g] = calls.map(({ ids }) => ids);
    expect([l![76], g![76]]).toEqual([49407, 0]);
    expect(positive.context.shape).toEqual([77, 3]);
    expect(Array.from(positive.context.data.slice(-3))).toEqual([49407, 0, 0]);
    expect(Array.from(positive.vector!.data.slice(0, 2))).toEqual([7, 7]);
    expect(positive.vector!.shape).toEqual([2 + 6 * 256]);
  });

  it('gives zeros for an empty negative prompt, with the sizes kept', async () => {
    const { positives, negatives } = await encodeSdxlTexts(encoders, plan, request);
    const [positive, negative] = [positives[0]!, negatives[0]!];
    expect(negative.context.shape).toEqual(positive.context.shape);
    expect(negative.context.data.every((value) => value === 0)).toBe(true);
    expect(Array.from(negative.vector!.data.slice(0, 2))).toEqual([0, 0]);
    expect(negative.vector!.data.slice(2)).toEqual(positive.vector!.data.slice(2));
  });

  it('gives both prompts as many rows as the longer one has', async () => {
    const long = Array(100).fill('fox').join(' ');
    const { positives, negatives } = await encodeSdxlTexts(encoders, plan, {
      ...request,
      negativePrompts: [long],
    });
    expect(positives[0]!.context.shape).toEqual([154, 3]);
    expect(negatives[0]!.context.shape).toEqual([154, 3]);
  });

  it('gives zeros for an empty prompt too, for the unconditional picture', async () => {
    const empty = { ...request, prompts: [' '], negativePrompts: [''] };
    const { positives, negatives } = await encodeSdxlTexts(encoders, plan, empty);
    expect(positives[0]!.context.data.every((value) => value === 0)).toBe(true);
    expect(positives).toEqual(negatives);
  });

  it('encodes an empty text among others, and always in ComfyUI’s syntax', async () => {
    const scheduled = await encodeSdxlTexts(encoders, plan, { ...request, negativePrompts: ['', 'blurry'] });
    expect(scheduled.negatives[0]!.context.data[0]).toBe(49406);
    const comfy = await encodeSdxlTexts(encoders, plan, { ...request, syntax: 'comfy' });
    expect(comfy.negatives[0]!.context.data[0]).toBe(49406);
    expect(Array.from(comfy.negatives[0]!.vector!.data.slice(0, 2))).toEqual([7, 7]);
  });

  it('gives texts their own length in ComfyUI’s syntax', async () => {
    const long = Array(100).fill('fox').join(' ');
    const comfy = { ...request, prompts: [long], syntax: 'comfy' } as const;
    const { positives, negatives } = await encodeSdxlTexts(encoders, plan, comfy);
    expect([positives[0]!.context.shape, negatives[0]!.context.shape]).toEqual([
      [154, 3],
      [77, 3],
    ]);
  });
});
