// SD 1.x and 2.x while they run: one CLIP text encoder, and a thousand scaled-linear noise levels unless a file says
// otherwise.

import { diffusionLevels } from '../../sampling/noise-levels.js';
import { clipEnd } from '../../text/clip-tokenizer.js';
import type { FamilyRuntime } from '../runtime.js';
import { encodeSdTexts, type SdTokenizer } from './text.js';

export const sd1Runtime = createRuntime({ padding: clipEnd, cleaning: 'huggingface' });
export const sd2Runtime = createRuntime({ padding: 0, cleaning: 'openclip' });

function createRuntime(tokenizer: SdTokenizer): FamilyRuntime {
  return {
    readsSyntax: true,
    encodeTexts: (encoders, plan, request, learned) =>
      encodeSdTexts(tokenizer, encoders, plan, request, learned),
    noiseLevels: ({ noise }) => diffusionLevels('sd1', noise),
  };
}
