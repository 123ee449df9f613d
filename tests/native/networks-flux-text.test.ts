// The text encoders of FLUX against their golden cases: T5, Qwen3 and Mistral, from safetensors and from GGUF.
import { describe, expect, test } from 'vitest';
import type { TextEncoder } from '../../src/native/addon.js';
import { assertClose, element, type GoldenCase, goldenCase, type Tolerance, toleranceOf } from '../golden.js';
import { readLanguageModel, readT5 } from '../golden-networks.js';
import { operations, precisionFor, withEngine } from './networks.js';

const suffixes = ['safetensors', 'gguf'];
const t5 = goldenCase('t5-encoder');

describe.each(operations)('T5 on $name', (chosen) => {
  test.each(suffixes)('%s', (suffix) =>
    withEngine(chosen, async (engine) => {
      const { config, weights } = await readT5(t5, suffix);
      const encoder = await engine.loadTextEncoder('t5', config, weights);
      const { expected } = t5;
      for (const [name, ids] of t5.inputs) {
        const answer = name.replace('.ids', '.hidden');
        const tolerance = toleranceOf(t5, answer, precisionFor(weights, chosen));
        for (let row = 0; row < ids.shape[0]!; row++) {
          const { hidden, pooled } = await encoder.encode(Int32Array.from(element(ids, row).data));
          const states = element(expected.get(answer)!, row);
          expect(pooled).toBeUndefined();
          expect(hidden.map(({ shape }) => shape)).toEqual([states.shape]);
          assertClose(hidden[0]!.data, states.data, tolerance);
        }
      }
    }),
  );
});

describe('what T5 refuses', () => {
  test('tokens outside the vocabulary, masks, layers that it lacks', () =>
    withEngine(operations[0]!, async (engine) => {
      const { config, weights } = await readT5(t5, 'safetensors');
      const encoder = await engine.loadTextEncoder('t5', config, weights);
      const refused = { code: 'INVALID_ARGUMENT' };
      const one = Int32Array.of(1);
      await expect(encoder.encode(Int32Array.of(config.vocab))).rejects.toMatchObject(refused);
      await expect(encoder.encode(new Int32Array(0))).rejects.toMatchObject(refused);
      await expect(encoder.encode(one, { mask: Uint8Array.of(1) })).rejects.toThrow(/mask/);
      const layers = [config.layers + 1];
      await expect(encoder.encode(one, { layers })).rejects.toThrow(`layer ${layers[0]}`);
    }));
});

/** Rows of ids, with a mask or without, and the states that the transformer takes of them. */
async function expectContext(
  encoder: TextEncoder,
  golden: GoldenCase,
  taps: number[],
  answer: string,
  tolerance: Tolerance,
): Promise<void> {
  const { inputs } = golden;
  const group = answer.slice(0, -'context'.length);
  const [ids, masks] = [inputs.get(`${group}ids`)!, inputs.get(`${group}mask`)];
  const answers = golden.expected.get(answer)!;
  for (let row = 0; row < answers.shape[0]!; row++) {
    const { hidden } = await encoder.encode(Int32Array.from(element(ids, row).data), {
      layers: taps,
      norm: false,
      ...(masks && { mask: Uint8Array.from(element(masks, row).data) }),
    });
    const [tokens, width] = hidden[0]!.shape as [number, number];
    const context = new Float32Array(tokens * width * taps.length);
    for (const [layer, { data }] of hidden.entries()) {
      for (let token = 0; token < tokens; token++) {
        const state = data.subarray(token * width, (token + 1) * width);
        context.set(state, (token * taps.length + layer) * width);
      }
    }
    assertClose(context, element(answers, row).data, tolerance);
  }
}

/** Qwen3 with padding on the right; Mistral plain and with padding on the left. */
const languageModels = ['flux2-text-qwen3', 'flux2-text-mistral'].flatMap((name) =>
  suffixes.map((suffix) => [name, suffix] as const),
);

describe.each(operations)('language models on $name', (chosen) => {
  test.each(languageModels)('%s, %s', (name, suffix) =>
    withEngine(chosen, async (engine) => {
      const golden = goldenCase(name);
      const model = await readLanguageModel(golden.weights(suffix), golden.config());
      const encoder = await engine.loadTextEncoder('causal_lm', model.config, model.weights);
      const answers = [...golden.expected.keys()].filter((key) => key.endsWith('context'));
      expect(answers).not.toHaveLength(0);
      const precision = precisionFor(model.weights, chosen);
      for (const answer of answers)
        await expectContext(encoder, golden, model.taps, answer, toleranceOf(golden, answer, precision));
    }),
  );
});

describe('what language models refuse', () => {
  test('a final norm, masks of another length, layers that were left out', () =>
    withEngine(operations[0]!, async (engine) => {
      const qwen = goldenCase('flux2-text-qwen3');
      const { config, weights } = await readLanguageModel(qwen.weights('safetensors'), qwen.config());
      const encoder = await engine.loadTextEncoder('causal_lm', config, weights);
      const tokens = Int32Array.of(1, 2, 3);
      await expect(encoder.encode(tokens)).rejects.toThrow(/norm/);
      const short = { norm: false, mask: Uint8Array.of(1, 1) };
      await expect(encoder.encode(tokens, short)).rejects.toThrow(/mask has 2 values/);
      const layers = [config.layers + 1];
      await expect(encoder.encode(tokens, { norm: false, layers })).rejects.toThrow(`layer ${layers[0]}`);
    }));
});
