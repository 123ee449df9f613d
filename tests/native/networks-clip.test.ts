// The CLIP text encoder against its golden cases: quick and erf GELU, three layouts, pooled and projected states.
import { describe, expect, test } from 'vitest';
import type { ClipConfig } from '../../src/families/networks/clip.js';
import type { TextEncoder } from '../../src/native/addon.js';
import { assertClose, element, type GoldenCase, goldenCase, type Precision, toleranceOf } from '../golden.js';
import { answerOf, readClipEncoder } from '../golden-networks.js';
import { operations, withEngine } from './networks.js';

const cases = ['sd1', 'sd2', 'sdxl', 'standalone-l', 'standalone-g'].map((name) => `clip-text-${name}`);
/** SDXL has two encoders in one file; elsewhere the only one has no name. */
const encoders = cases.flatMap((name) =>
  Object.keys(goldenCase(name).facts.config).map((part): [string, string] => [name, part]),
);

describe.each(operations)('CLIP on $name', (chosen) => {
  test.each(encoders)('%s %s', (name, part) =>
    withEngine(chosen, async (engine) => {
      const golden = goldenCase(name);
      const { config, weights } = await readClipEncoder(golden, part);
      const encoder = await engine.loadTextEncoder('clip', config, weights);
      await expectStates(encoder, golden, part, config, chosen.precision);
    }),
  );
});

describe('what CLIP refuses', () => {
  const sd1 = goldenCase('clip-text-sd1');
  const stated = sd1.config<ClipConfig>('');
  const load = async (change: Partial<ClipConfig>, run: (encoder: TextEncoder) => Promise<void>) =>
    withEngine(operations[0]!, async (engine) => {
      const { config, weights } = await readClipEncoder(sd1, '');
      await run(await engine.loadTextEncoder('clip', { ...config, ...change }, weights));
    });

  test('tokens outside the vocabulary, too many tokens, layers that it lacks', () =>
    load({}, async (encoder) => {
      const refused = { code: 'INVALID_ARGUMENT' };
      await expect(encoder.encode(Int32Array.of(stated.vocab))).rejects.toMatchObject(refused);
      await expect(encoder.encode(new Int32Array(stated.positions + 1))).rejects.toMatchObject(refused);
      const layers = [stated.layers + 1];
      await expect(encoder.encode(Int32Array.of(1), { layers })).rejects.toThrow(`layer ${layers[0]}`);
    }));

  test('a configuration that the tensors contradict', async () => {
    await expect(load({ intermediate: stated.intermediate - 1 }, async () => {})).rejects.toMatchObject({
      code: 'WEIGHTS_INVALID',
    });
    const more = load({ layers: stated.layers + 1 }, async () => {});
    await expect(more).rejects.toThrow(`layers.${stated.layers}.`);
  });
});

async function expectStates(
  encoder: TextEncoder,
  golden: GoldenCase,
  part: string,
  config: ClipConfig,
  precision: Precision,
): Promise<void> {
  const { expected } = golden;
  const ids = golden.inputs.get(answerOf(part, 'input_ids'))!;
  const layers = [config.layers - 1, config.layers];
  for (let row = 0; row < ids.shape[0]!; row++) {
    const close = (found: Float32Array, what: string) => {
      const name = answerOf(part, what);
      assertClose(found, element(expected.get(name)!, row).data, toleranceOf(golden, name, precision));
    };
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
