// FLUX.2: prompt -> states of three layers of a language model side by side, padding included. Brackets are words here.
import type { Tensor, TextEncoder } from '../../native/addon.js';
import { describeDropped, encodeMistralPrompt, encodeQwenPrompt } from '../../text/flux-prompts.js';
import { needsNegative } from '../clip-rows.js';
import type { CausalLmConfig } from '../networks/causal-lm.js';
import type { FluxConfig } from '../networks/flux.js';
import type { EncodedTexts, PromptConditioning, TextsRequest } from '../runtime.js';
import { tokenizerOf } from '../text-encoder-tokenizer.js';
import type { ModelPlan } from '../types.js';

/** Dev has distilled guidance, klein none; only klein's base model is guided by a negative prompt. */
export async function encodeFlux2Texts(
  [encoder]: TextEncoder[],
  plan: ModelPlan,
  request: TextsRequest,
): Promise<EncodedTexts> {
  const notes: string[] = [];
  const encode = async (texts: readonly string[]): Promise<PromptConditioning[]> => {
    const encoded = [];
    for (const text of texts) {
      const { context, dropped } = await encodeStates(encoder!, plan, text);
      notes.push(...describeDropped('the language model', dropped));
      encoded.push({ context });
    }
    return encoded;
  };
  const positives = await encode(request.prompts);
  const { guidance } = request;
  if ((plan.denoiser.config as FluxConfig).guidance)
    return { positives: positives.map((one) => ({ ...one, guidance })), negatives: [], notes };
  if (isDistilled(plan) || !needsNegative(request)) return { positives, negatives: [], notes };
  return { positives, negatives: await encode(request.negativePrompts), notes };
}

/** Klein and its base have the same tensors; what was read of the file's own words shows in the defaults. */
function isDistilled({ defaults }: ModelPlan): boolean {
  return !needsNegative(defaults);
}

async function encodeStates(
  encoder: TextEncoder,
  plan: ModelPlan,
  prompt: string,
): Promise<{ context: Tensor; dropped: number }> {
  const languageModel = plan.textEncoders[0]!;
  const tokenizer = await tokenizerOf(languageModel);
  const qwen = (languageModel.config as CausalLmConfig).qkNorm;
  const { ids, mask, dropped } = (qwen ? encodeQwenPrompt : encodeMistralPrompt)(
    tokenizer,
    prompt,
    languageModel.rowLength,
  );
  const { hidden } = await encoder.encode(ids, { layers: languageModel.layers, norm: false, mask });
  return { context: joinChannels(hidden), dropped };
}

/** States [tokens, width] each -> [tokens, width * states]. */
function joinChannels(states: Tensor[]): Tensor {
  const [tokens, width] = states[0]!.shape as [number, number];
  const joined = new Float32Array(tokens * width * states.length);
  for (const [i, { data }] of states.entries()) {
    for (let token = 0; token < tokens; token++) {
      const state = data.subarray(token * width, (token + 1) * width);
      joined.set(state, (token * states.length + i) * width);
    }
  }
  return { data: joined, shape: [tokens, width * states.length] };
}
