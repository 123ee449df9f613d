// FLUX.2 at run time: one language model, and a rectified flow shifted by the picture's size and the number of steps.
import { flowLevels, flux2Mu, timeShift } from '../../sampling/index.js';
import type { FamilyRuntime } from '../runtime.js';
import { encodeFlux2Texts } from './text.js';

export const flux2Runtime: FamilyRuntime = {
  encodeTexts: encodeFlux2Texts,
  noiseLevels: ({ latent }, { width, height, steps }) => {
    const tokens = (width / latent.factor) * (height / latent.factor);
    return flowLevels(timeShift(flux2Mu(tokens, steps)));
  },
};
