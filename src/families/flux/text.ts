// FLUX.1: prompt -> T5's states as context, CLIP-L's pooled state as vector. Weights in brackets have no meaning here.
import type { TextEncoder } from '../../native/addon.js';
import { clipEnd, encodeClip, padClip } from '../../text/clip-tokenizer.js';
import { encodeT5Prompt } from '../../text/flux-prompts.js';
import type { FluxConfig } from '../networks/flux.js';
import type { EncodedPrompts, PromptRequest } from '../runtime.js';
import { tokenizerOf } from '../text-encoder-tokenizer.js';
import type { ModelPlan } from '../types.js';

/** Guidance is distilled into dev, and schnell has none: a negative prompt is never read. */
export async function encodeFluxPrompts(
  encoders: TextEncoder[],
  plan: ModelPlan,
  { prompt, guidance }: PromptRequest,
): Promise<EncodedPrompts> {
  const [clip, t5] = encoders;
  const t5Plan = plan.textEncoders[1]!;
  const row = encodeT5Prompt(await tokenizerOf(t5Plan), prompt, t5Plan.rowLength);
  const { pooled } = await clip!.encode(padClip(encodeClip(prompt), clipEnd), { project: false });
  const { hidden } = await t5!.encode(row.ids);
  const takesGuidance = (plan.denoiser.config as FluxConfig).guidance;
  return { positive: { context: hidden[0]!, vector: pooled!, ...(takesGuidance && { guidance }) } };
}
