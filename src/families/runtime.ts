// What a family decides while a request runs: how prompts become conditioning, and which noise levels its network
// was trained with. Each family in the list of index.ts has one.
import type { Tensor, TextEncoder } from '../native/addon.js';
import type { NoiseLevels } from '../sampling/noise-levels.js';
import type { LearnedVectors } from './embeddings.js';
import type { ModelPlan } from './types.js';

export interface PromptRequest {
  prompt: string;
  negativePrompt: string;
  /** Classifier-free guidance, or the scale that a distilled network takes. */
  guidance: number;
  /** 1 = last layer. */
  clipSkip: number;
  /** Words of the prompts that stand for learned vectors, and the files that hold them. */
  embeddings?: readonly { word: string; path: string }[];
  width: number;
  height: number;
}

/** What a denoiser is conditioned on, without the pictures (see ConditioningInputs). */
export interface PromptConditioning {
  context: Tensor;
  vector?: Tensor;
  guidance?: number;
}

export interface EncodedPrompts {
  positive: PromptConditioning;
  /** Present when guidance needs a second pass. */
  negative?: PromptConditioning;
}

export interface FamilyRuntime {
  /** Prompts are encoded together with the picture's size: another size, other states. */
  readonly readsSize?: boolean;
  /** `encoders` are in the order of plan.textEncoders; `learned` only comes to families of CLIP encoders alone. */
  encodePrompts(
    encoders: TextEncoder[],
    plan: ModelPlan,
    request: PromptRequest,
    learned: LearnedVectors,
  ): Promise<EncodedPrompts>;
  noiseLevels(plan: ModelPlan, request: { width: number; height: number; steps: number }): NoiseLevels;
}
