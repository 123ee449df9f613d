// FLUX.2: prompt -> states of three layers of a language model side by side, padding included.
import type { Tensor, TextEncoder } from '../../native/addon.js';
import { encodeMistralPrompt, encodeQwenPrompt } from '../../text/flux-prompts.js';
import { needsNegative } from '../clip-rows.js';
import type { CausalLmConfig } from '../networks/causal-lm.js';
import type { FluxConfig } from '../networks/flux.js';
import type { EncodedPrompts, PromptRequest } from '../runtime.js';
import { tokenizerOf } from '../text-encoder-tokenizer.js';
import type { ModelPlan } from '../types.js';

/** Dev has distilled guidance, klein none; only klein's base model is guided by a negative prompt. */
export async function encodeFlux2Prompts(
  [encoder]: TextEncoder[],
  plan: ModelPlan,
  { prompt, negativePrompt, guidance }: PromptRequest,
): Promise<EncodedPrompts> {
  const encode = async (text: string) => ({ context: await encodeStates(encoder!, plan, text) });
  const positive = await encode(prompt);
  if ((plan.denoiser.config as FluxConfig).guidance) return { positive: { ...positive, guidance } };
  if (isDistilled(plan) || !needsNegative(guidance)) return { positive };
  return { positive, negative: await encode(negativePrompt) };
}

/** Klein and its base have the same tensors; what was read of the file's own words shows in the defaults. */
function isDistilled({ defaults }: ModelPlan): boolean {
  return !needsNegative(defaults.guidance);
}

async function encodeStates(encoder: TextEncoder, plan: ModelPlan, prompt: string): Promise<Tensor> {
  const languageModel = plan.textEncoders[0]!;
  const tokenizer = await tokenizerOf(languageModel);
  const qwen = (languageModel.config as CausalLmConfig).qkNorm;
  const { ids, mask } = (qwen ? encodeQwenPrompt : encodeMistralPrompt)(
    tokenizer,
    prompt,
    languageModel.rowLength,
  );
  const { hidden } = await encoder.encode(ids, { layers: languageModel.layers, norm: false, mask });
  return joinChannels(hidden);
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
