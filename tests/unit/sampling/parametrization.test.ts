import { describe, expect, it } from 'vitest';
import { diffusionLevels, flowLevels } from '../../../src/sampling/noise-levels.js';
import { addNoise, toDenoise } from '../../../src/sampling/parametrization.js';

const picture = Float32Array.of(0.5, -1, 2, 0);
const noise = Float32Array.of(-0.3, 0.8, 1.1, -2);

// A network that knows the picture must give it back whatever it predicts.
describe.each([0.03, 0.9, 14.6])('a perfect network at sigma %s', (sigma) => {
  const scale = 1 / Math.sqrt(sigma ** 2 + 1);
  const levels = diffusionLevels();

  it.each([
    ['eps', noise],
    // v = alpha * noise - sigma_vp * picture with alpha = 1 / sqrt(1 + sigma^2), sigma_vp = sigma * alpha
    ['v', noise.map((value, i) => scale * value - sigma * scale * picture[i]!)],
  ] as const)('predicting %s', async (prediction, output) => {
    const x = addNoise(picture, noise, sigma, 'diffusion');
    const denoise = toDenoise(
      async (input, timestep) => {
        for (const [i, value] of input.entries()) expect(value).toBeCloseTo(x[i]! * scale, 5);
        expect(levels.sigmaAt(timestep)).toBeCloseTo(sigma, 1);
        return output;
      },
      prediction,
      levels,
    );
    const denoised = await denoise(x, sigma);
    for (const [i, value] of denoised.entries()) expect(value).toBeCloseTo(picture[i]!, 4);
  });
});

it('a perfect flow network gets x and sigma as they are', async () => {
  const sigma = 0.4;
  const x = addNoise(picture, noise, sigma, 'flow');
  const denoise = toDenoise(
    async (input, timestep) => {
      expect([input, timestep]).toEqual([x, sigma]);
      return noise.map((value, i) => value - picture[i]!);
    },
    'flow',
    flowLevels(),
  );
  for (const [i, value] of (await denoise(x, sigma)).entries()) expect(value).toBeCloseTo(picture[i]!, 5);
});

it('starts from noise alone', () => {
  expect([...addNoise(undefined, Float32Array.of(1, -2), 14, 'diffusion')]).toEqual([14, -28]);
});
