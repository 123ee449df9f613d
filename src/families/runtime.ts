// What a family decides at run time: how prompts become conditioning, and which noise levels its network was trained
// with.
import type { Tensor, TextEncoder } from '../native/addon.js';
import type { NoiseLevels } from '../sampling/noise-levels.js';
import type { LearnedVectors } from './embeddings.js';
import type { ModelPlan } from './types.js';

export interface PromptRequest {
  prompt: string;
  negativePrompt: string;
  /** Scale of classifier-free guidance, or the guidance that a distilled network takes as input. */
  guidance: number;
  /** 1 = last layer. */
  clipSkip: number;
  /** Words of the prompts that stand for learned vectors, and the files that hold them. */
  embeddings?: readonly { word: string; path: string }[];
  width: number;
  height: number;
}

/** The text part of a denoiser's conditioning (see ConditioningInputs). */
export interface PromptConditioning {
  context: Tensor;
  vector?: Tensor;
  guidance?: number;
}

export interface EncodedPrompts {
  positive: PromptConditioning;
  /** Present when classifier-free guidance needs a second pass. */
  negative?: PromptConditioning;
}

export interface FamilyRuntime {
  /** The conditioning depends on the picture's size, so another size needs another encoding. */
  readonly readsSize?: boolean;
  /** `encoders` are in the order of plan.textEncoders; only families whose encoders are all CLIP get `learned`. */
  encodePrompts(
    encoders: TextEncoder[],
    plan: ModelPlan,
    request: PromptRequest,
    learned: LearnedVectors,
  ): Promise<EncodedPrompts>;
  noiseLevels(plan: ModelPlan, request: { width: number; height: number; steps: number }): NoiseLevels;
}
