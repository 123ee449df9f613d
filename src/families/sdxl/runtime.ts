// SDXL while it runs: two CLIP text encoders, and the noise levels of SD 1.x unless a file says otherwise.
import { diffusionLevels } from '../../sampling/noise-levels.js';
import type { FamilyRuntime } from '../runtime.js';
import { encodeSdxlTexts } from './text.js';

export const sdxlRuntime: FamilyRuntime = {
  readsSize: true,
  readsSyntax: true,
  encodeTexts: encodeSdxlTexts,
  noiseLevels: ({ noise }) => diffusionLevels('sdxl', noise),
};
