// What a user should know about how a picture was sampled: forced predictions, and guidance that does not fit.
import type { ModelPlan } from '../families/types.js';
import type { PipelineRequest } from './types.js';

export function describeSampling(
  { prediction, noise, told }: Pick<ModelPlan, 'prediction' | 'noise' | 'told'>,
  request: Pick<PipelineRequest, 'prediction' | 'guidance' | 'guidanceRescale'>,
  guided: boolean,
): string[] {
  const notes: string[] = [];
  const used = request.prediction ?? prediction;
  const rescale = request.guidanceRescale ?? 0;
  if (used !== prediction)
    notes.push(
      `The network is taken to predict ${used}, as asked, and not ${prediction} by ${told?.prediction ?? 'its file'}.`,
    );
  if (noise?.kind === 'betas' && noise.zeroTerminalSnr) {
    if (used === 'eps')
      notes.push(
        'The model was trained to zero terminal SNR, where the noise says nothing about the picture: such networks predict v, but this one is taken to predict eps. If colours are burnt, ask for the prediction v.',
      );
    else if (guided && rescale === 0)
      notes.push(
        'The model was trained to zero terminal SNR: guidance makes its pictures too bright; a guidance_rescale of 0.7 is what its authors suggest.',
      );
  }
  if (rescale > 0 && !guided)
    notes.push('guidance_rescale has no effect where no negative prompt is read (guidance 0 or 1, or FLUX).');
  return notes;
}
