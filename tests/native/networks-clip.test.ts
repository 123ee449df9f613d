// The CLIP text encoder against its golden cases: quick and erf GELU, three layouts, pooled and projected states.
import { describe, expect, test } from 'vitest';
import type { ClipConfig } from '../../src/families/networks/clip.js';
import { clipLayouts } from '../../src/families/networks/clip.js';
import type { Tensors } from '../../src/families/tensors.js';
import type { TextEncoder, Weights } from '../../src/native/addon.js';
import { assertClose, element, type GoldenCase, goldenCase, type Precision, toleranceOf } from '../golden.js';
import { operations, weightsFrom, withEngine } from './networks.js';

interface Variant {
  golden: string;
  file: string;
  prefix: string;
  /** Part of the case that holds this encoder, '' where there is only one. */
  part: '' | 'clip_l' | 'clip_g';
  layout: 'Hugging Face' | 'OpenCLIP';
  projection?: number;
}

const variants: Variant[] = [
  {
    golden: 'clip-text-sd1',
    file: 'model.safetensors',
    prefix: 'cond_stage_model.transformer.',
    part: '',
    layout: 'Hugging Face',
  },
  {
    golden: 'clip-text-sd2',
    file: 'model.safetensors',
    prefix: 'cond_stage_model.model.',
    part: '',
    layout: 'OpenCLIP',
  },
  {
    golden: 'clip-text-sdxl',
    file: 'model.safetensors',
    prefix: 'conditioner.embedders.0.transformer.',
    part: 'clip_l',
    layout: 'Hugging Face',
  },
  {
    golden: 'clip-text-sdxl',
    file: 'model.safetensors',
    prefix: 'conditioner.embedders.1.model.',
    part: 'clip_g',
    layout: 'OpenCLIP',
    projection: 64,
  },
  {
    golden: 'clip-text-standalone-l',
    file: 'clip_l.safetensors',
    prefix: '',
    part: '',
    layout: 'Hugging Face',
  },
  {
    golden: 'clip-text-standalone-g',
    file: 'clip_g.safetensors',
    prefix: '',
    part: '',
    layout: 'Hugging Face',
    projection: 64,
  },
];

describe.each(operations)('CLIP on $name', (chosen) => {
  for (const variant of variants) {
    const golden = goldenCase(variant.golden);
    test.skipIf(!golden.present)(`${variant.golden} ${variant.part} ${golden.reason}`, () =>
      withEngine(chosen, async (engine) => {
        const config = readConfig(golden, variant);
        const weights = await weightsFrom(golden.path(variant.file), variant.prefix, renameTo(variant));
        const encoder = await engine.loadTextEncoder('clip', config, withProjection(weights));
        await expectStates(encoder, golden, variant, config, chosen.precision);
      }),
    );
  }
});

const sd1 = goldenCase('clip-text-sd1');
describe.skipIf(!sd1.present)(`what CLIP refuses ${sd1.reason}`, () => {
  const load = async (change: Partial<ClipConfig>, run: (encoder: TextEncoder) => Promise<void>) =>
    withEngine(operations[0]!, async (engine) => {
      const weights = await weightsFrom(
        sd1.path('model.safetensors'),
        variants[0]!.prefix,
        renameTo(variants[0]!),
      );
      await run(
        await engine.loadTextEncoder('clip', { ...readConfig(sd1, variants[0]!), ...change }, weights),
      );
    });

  test('tokens outside the vocabulary, too many tokens, layers that it lacks', () =>
    load({}, async (encoder) => {
      await expect(encoder.encode(Int32Array.of(600))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(encoder.encode(new Int32Array(78))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(encoder.encode(Int32Array.of(1), { layers: [4] })).rejects.toThrow(/layer 4/);
    }));

  test('a configuration that the tensors contradict', async () => {
    await expect(load({ intermediate: 255 }, async () => {})).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
    });
    await expect(load({ layers: 4 }, async () => {})).rejects.toThrow(/layers\.3/);
  });
});

function readConfig(golden: GoldenCase, { part, layout, projection = 0 }: Variant): ClipConfig {
  type Facts = Omit<ClipConfig, 'projection' | 'endToken'> & { eos: number; activation: string };
  const facts = golden.json<{ config: Record<string, Facts> }>('case.json').config[part]!;
  const { width, layers, heads, intermediate, vocab, positions, eos, activation } = facts;
  return {
    ...{ width, layers, heads, intermediate, vocab, positions, projection },
    endToken: eos,
    activation: activation.includes('erf') ? 'gelu' : 'quick_gelu',
    ...(layout === 'OpenCLIP' && projection > 0 && { projectionTransposed: true }),
  };
}

function renameTo({ layout }: Variant): (tensors: Tensors) => Tensors {
  return clipLayouts.find(({ name }) => name === layout)!.rename;
}

/** OpenCLIP's matrix goes by the same name; `projectionTransposed` says which it is. */
function withProjection(weights: Weights): Weights {
  const tensors = weights.tensors.map((entry) =>
    entry.name === 'text_projection' ? { ...entry, name: 'text_projection.weight' } : entry,
  );
  return { ...weights, tensors };
}

async function expectStates(
  encoder: TextEncoder,
  golden: GoldenCase,
  { part }: Variant,
  config: ClipConfig,
  precision: Precision,
): Promise<void> {
  const of = (name: string) => (part ? `${part}.${name}` : name);
  const ids = golden.tensors('inputs.safetensors').get(of('input_ids'))!;
  const expected = golden.tensors('expected.safetensors');
  const layers = [config.layers - 1, config.layers];
  for (let row = 0; row < ids.shape[0]!; row++) {
    const close = (found: Float32Array, name: string) =>
      assertClose(
        found,
        element(expected.get(of(name))!, row).data,
        toleranceOf(golden, of(name), precision),
      );
    const tokens = Int32Array.from(element(ids, row).data);
    const plain = await encoder.encode(tokens, { layers, norm: false, project: false });
    close(plain.hidden[0]!.data, 'penultimate');
    close(plain.pooled!.data, 'pooled');
    const normed = await encoder.encode(tokens, { layers, norm: true });
    close(normed.hidden[0]!.data, 'penultimate_ln');
    close(normed.hidden[1]!.data, 'last_hidden');
    expect(normed.hidden[1]!.shape).toEqual([tokens.length, config.width]);
    if (config.projection > 0) close(normed.pooled!.data, 'pooled_projected');
  }
}
