// FLUX.1 at run time: two text encoders, and a rectified flow. Dev shifts its schedule by the picture's size.

import { flowLevels, flux1Mu, timeShift } from '../../sampling/index.js';
import type { FluxConfig } from '../networks/flux.js';
import type { FamilyRuntime } from '../runtime.js';
import { encodeFluxTexts } from './text.js';

/** An image token covers a square of this many pixels on a side. */
const TOKEN = 16;

export const fluxRuntime: FamilyRuntime = {
  encodeTexts: encodeFluxTexts,
  noiseLevels: ({ denoiser }, { width, height }) => {
    const schnell = !(denoiser.config as FluxConfig).guidance;
    return schnell ? flowLevels() : flowLevels(timeShift(flux1Mu((width / TOKEN) * (height / TOKEN))));
  },
};
