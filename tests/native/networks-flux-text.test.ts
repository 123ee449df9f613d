// The text encoders of FLUX against their golden cases: T5, Qwen3 and Mistral, from safetensors and from GGUF.
import { describe, expect, test } from 'vitest';
import { causalLmLayouts, readCausalLm } from '../../src/families/networks/causal-lm.js';
import { readT5Config, t5Layouts } from '../../src/families/networks/t5.js';
import { below, type Tensors, toWeights, viewTensors } from '../../src/families/tensors.js';
import type { Engine, TextEncoder } from '../../src/native/addon.js';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { assertClose, element, type GoldenCase, goldenCase, type Tolerance, toleranceOf } from '../golden.js';
import { type Operations, operations, precisionFor, withEngine } from './networks.js';

const files = [
  { suffix: 'safetensors', layout: 'Hugging Face' },
  { suffix: 'gguf', layout: 'llama.cpp' },
] as const;

/** Tensors with the network's names; `prefix` is "model." where Hugging Face has it. */
async function tensorsOf(
  path: string,
  layouts: typeof t5Layouts,
  layout: string,
  prefix = '',
): Promise<Tensors> {
  const tensors = viewTensors(await readWeightFile(path));
  return layouts
    .find(({ name }) => name === layout)!
    .rename(layout === 'llama.cpp' ? tensors : below(tensors, prefix));
}

/** The limit of the case for this file, whose weights are F16 (GGUF) or BF16. */
function limitOf(golden: GoldenCase, name: string, chosen: Operations, type: 'F16' | 'BF16'): Tolerance {
  return toleranceOf(golden, name, precisionFor(type, chosen));
}

const t5 = goldenCase('t5-encoder');

async function loadT5(engine: Engine, { suffix, layout }: (typeof files)[number]): Promise<TextEncoder> {
  const path = t5.path(`t5xxl.${suffix}`);
  const tensors = await tensorsOf(path, t5Layouts, layout);
  return engine.loadTextEncoder('t5', readT5Config(tensors, path), toWeights(tensors));
}

describe.skipIf(!t5.present).each(operations)(`T5 on $name ${t5.reason}`, (chosen) => {
  test.each(files)('$suffix', (file) =>
    withEngine(chosen, async (engine) => {
      const encoder = await loadT5(engine, file);
      const expected = t5.tensors('expected.safetensors');
      for (const [name, ids] of t5.tensors('inputs.safetensors')) {
        const answer = name.replace('.ids', '.hidden');
        for (let row = 0; row < ids.shape[0]!; row++) {
          const { hidden, pooled } = await encoder.encode(Int32Array.from(element(ids, row).data));
          const states = element(expected.get(answer)!, row);
          expect(pooled).toBeUndefined();
          expect(hidden.map(({ shape }) => shape)).toEqual([states.shape]);
          assertClose(hidden[0]!.data, states.data, limitOf(t5, answer, chosen, 'F16'));
        }
      }
    }),
  );
});

describe.skipIf(!t5.present)(`what T5 refuses ${t5.reason}`, () => {
  test('tokens outside the vocabulary, masks, layers that it lacks', () =>
    withEngine(operations[0]!, async (engine) => {
      const encoder = await loadT5(engine, files[0]);
      const refused = { code: 'INVALID_ARGUMENT' };
      await expect(encoder.encode(Int32Array.of(1100))).rejects.toMatchObject(refused);
      await expect(encoder.encode(new Int32Array(0))).rejects.toMatchObject(refused);
      await expect(encoder.encode(Int32Array.of(1), { mask: Uint8Array.of(1) })).rejects.toThrow(/mask/);
      await expect(encoder.encode(Int32Array.of(1), { layers: [3] })).rejects.toThrow(/layer 3/);
    }));
});

interface LanguageModel {
  golden: GoldenCase;
  file: string;
  theta: number;
  eps: number;
  /** llama.cpp permutes q and k of Llama-type models. */
  permuted: boolean;
}

const qwen: LanguageModel = {
  golden: goldenCase('flux2-text-qwen3'),
  file: 'qwen3',
  theta: 1e6,
  eps: 1e-6,
  permuted: false,
};
const mistral: LanguageModel = {
  golden: goldenCase('flux2-text-mistral'),
  file: 'mistral',
  theta: 1e9,
  eps: 1e-5,
  permuted: true,
};

async function loadLanguageModel(
  engine: Engine,
  { golden, file, theta, eps, permuted }: LanguageModel,
  { suffix, layout }: (typeof files)[number],
): Promise<TextEncoder> {
  const path = golden.path(`${file}.${suffix}`);
  const found = await tensorsOf(path, causalLmLayouts, layout, 'model.');
  const ropeInterleaved = permuted && layout === 'llama.cpp';
  const facts = { theta, eps, headDim: 32, ropeInterleaved };
  const { config, tensors } = readCausalLm(found, path, 3, facts);
  return engine.loadTextEncoder('causal_lm', config, toWeights(tensors));
}

async function expectContext(
  encoder: TextEncoder,
  golden: GoldenCase,
  { ids, mask, expected }: { ids: string; mask?: string; expected: string },
  tolerance: Tolerance,
): Promise<void> {
  const inputs = golden.tensors('inputs.safetensors');
  const answers = golden.tensors('expected.safetensors').get(expected)!;
  for (let row = 0; row < answers.shape[0]!; row++) {
    const { hidden } = await encoder.encode(Int32Array.from(element(inputs.get(ids)!, row).data), {
      layers: [1, 2, 3],
      norm: false,
      ...(mask && { mask: Uint8Array.from(element(inputs.get(mask)!, row).data) }),
    });
    const [tokens, width] = hidden[0]!.shape as [number, number];
    const context = new Float32Array(tokens * width * 3);
    for (const [layer, { data }] of hidden.entries()) {
      for (let token = 0; token < tokens; token++) {
        const state = data.subarray(token * width, (token + 1) * width);
        context.set(state, (token * 3 + layer) * width);
      }
    }
    assertClose(context, element(answers, row).data, tolerance);
  }
}

describe.each(operations)('language models on $name', (chosen) => {
  const type = (suffix: string) => (suffix === 'gguf' ? 'F16' : 'BF16');

  test.skipIf(!qwen.golden.present).each(files)(
    `Qwen3, padded on the right, $suffix ${qwen.golden.reason}`,
    (file) =>
      withEngine(chosen, async (engine) => {
        const encoder = await loadLanguageModel(engine, qwen, file);
        const row = { ids: 'ids', mask: 'mask', expected: 'context' };
        await expectContext(
          encoder,
          qwen.golden,
          row,
          limitOf(qwen.golden, 'context', chosen, type(file.suffix)),
        );
      }),
  );

  test.skipIf(!mistral.golden.present).each(files)(
    `Mistral, plain and padded on the left, $suffix ${mistral.golden.reason}`,
    (file) =>
      withEngine(chosen, async (engine) => {
        const { golden } = mistral;
        const encoder = await loadLanguageModel(engine, mistral, file);
        const plain = { ids: 'ids', expected: 'context' };
        const padded = { ids: 'padded_ids', mask: 'padded_mask', expected: 'padded_context' };
        for (const row of [plain, padded])
          await expectContext(encoder, golden, row, limitOf(golden, row.expected, chosen, type(file.suffix)));
      }),
  );
});

describe.skipIf(!qwen.golden.present)(`what language models refuse ${qwen.golden.reason}`, () => {
  test('a final norm, masks of another length, layers that were left out', () =>
    withEngine(operations[0]!, async (engine) => {
      const encoder = await loadLanguageModel(engine, qwen, files[0]);
      const tokens = Int32Array.of(1, 2, 3);
      await expect(encoder.encode(tokens)).rejects.toThrow(/norm/);
      const short = { norm: false, mask: Uint8Array.of(1, 1) };
      await expect(encoder.encode(tokens, short)).rejects.toThrow(/mask has 2 values/);
      await expect(encoder.encode(tokens, { norm: false, layers: [4] })).rejects.toThrow(/layer 4/);
    }));
});
