// FLUX.1: prompt -> T5's states as context, CLIP-L's pooled state as vector. Brackets are words here.
import type { TextEncoder } from '../../native/addon.js';
import { rowCapacity } from '../../text/chunks.js';
import { clipEnd, encodeClip, padClip } from '../../text/clip-tokenizer.js';
import { describeDropped, encodeT5Prompt } from '../../text/flux-prompts.js';
import type { FluxConfig } from '../networks/flux.js';
import type { EncodedTexts, PromptConditioning, TextsRequest } from '../runtime.js';
import { tokenizerOf } from '../text-encoder-tokenizer.js';
import type { ModelPlan } from '../types.js';

/** Guidance is distilled into dev, and schnell has none: a negative prompt is never read. */
export async function encodeFluxTexts(
  encoders: TextEncoder[],
  plan: ModelPlan,
  { prompts, guidance }: TextsRequest,
): Promise<EncodedTexts> {
  const [clip, t5] = encoders;
  const t5Plan = plan.textEncoders[1]!;
  const tokenizer = await tokenizerOf(t5Plan);
  const takesGuidance = (plan.denoiser.config as FluxConfig).guidance;
  const positives: PromptConditioning[] = [];
  const notes: string[] = [];
  for (const prompt of prompts) {
    const row = encodeT5Prompt(tokenizer, prompt, t5Plan.rowLength);
    const ids = encodeClip(prompt);
    notes.push(
      ...describeDropped('T5', row.dropped),
      ...describeDropped("CLIP-L, which gives the prompt's summary,", ids.length - rowCapacity),
    );
    const { pooled } = await clip!.encode(padClip(ids, clipEnd), { project: false });
    const { hidden } = await t5!.encode(row.ids);
    positives.push({ context: hidden[0]!, vector: pooled!, ...(takesGuidance && { guidance }) });
  }
  return { positives, negatives: [], notes };
}
