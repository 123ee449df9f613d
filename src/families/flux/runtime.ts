// FLUX.1 while it runs: two text encoders, and a flow whose schedule dev shifts with the picture's size.

import { flowLevels, flux1Mu, timeShift } from '../../sampling/index.js';
import type { FluxConfig } from '../networks/flux.js';
import type { FamilyRuntime } from '../runtime.js';
import { encodeFluxTexts } from './text.js';

/** Pixels on a side of an image token. */
const TOKEN = 16;

export const fluxRuntime: FamilyRuntime = {
  encodeTexts: encodeFluxTexts,
  noiseLevels: ({ denoiser }, { width, height }) => {
    const schnell = !(denoiser.config as FluxConfig).guidance;
    return schnell ? flowLevels() : flowLevels(timeShift(flux1Mu((width / TOKEN) * (height / TOKEN))));
  },
};
