import { describe, expect, it } from 'vitest';
import { mapLatents } from '../../../src/pipeline/normalised-autoencoder.js';
import { describeSampling } from '../../../src/pipeline/sampling-notes.js';
import { stableDiffusionNoise } from '../../../src/sampling/trained-noise.js';

const told = { prediction: 'the tensor v_pred', noise: 'the tensor ztsnr' };
const zero = { ...stableDiffusionNoise, zeroTerminalSnr: true };
const zeroModel = { prediction: 'v', noise: zero, told } as const;
const plain = { prediction: 'eps', noise: stableDiffusionNoise, told } as const;

describe('what a result says about sampling', () => {
  it.each([
    ['nothing in the usual case', plain, { guidance: 7 }, true, []],
    [
      'a forced prediction',
      zeroModel,
      { guidance: 1, prediction: 'eps' },
      false,
      [/predict eps, as asked, and not v by the tensor v_pred/, /burnt/],
    ],
    ['the prediction that the file has', zeroModel, { guidance: 1, prediction: 'v' }, false, []],
    ['zero terminal SNR', zeroModel, { guidance: 7 }, true, [/guidance_rescale of 0\.7/]],
    ['zero terminal SNR with rescale', zeroModel, { guidance: 7, guidanceRescale: 0.7 }, true, []],
    ['zero terminal SNR without guidance', zeroModel, { guidance: 1 }, false, []],
    [
      'rescale without guidance',
      plain,
      { guidance: 1, guidanceRescale: 0.5 },
      false,
      [/guidance_rescale has no effect/],
    ],
  ] as const)('%s', (_, plan, request, guided, notes) => {
    expect(describeSampling(plan, request, guided)).toEqual(notes.map((note) => expect.stringMatching(note)));
  });
});

it('maps normalised latents to those of large and tiny autoencoders', () => {
  const statistics = { mean: [2, 0], std: [4, 1], scale: 0.5, familyScale: 0.13025 };
  const large = { kind: 'autoencoder', config: { scale: 0.2, shift: 1 } };
  // z = 4 x / 0.5 + 2, and the network takes (z - 1) * 0.2
  expect(mapLatents(statistics, large)).toEqual({ factor: [8 * 0.2, 2 * 0.2], addend: [0.2, -0.2] });
  const tiny = mapLatents(statistics, { kind: 'tiny_autoencoder', config: {} });
  expect(tiny.factor[0]).toBeCloseTo(8 * 0.13025, 12);
  expect(tiny.addend[0]).toBeCloseTo(2 * 0.13025, 12);
});
