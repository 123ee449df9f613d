// What a family decides at run time: how prompts become conditioning, and which noise levels its network was trained
// with.
import type { Tensor, TextEncoder } from '../native/addon.js';
import type { NoiseLevels } from '../sampling/noise-levels.js';
import type { PromptSyntax } from '../shared/prompt-syntaxes.js';
import type { LearnedVectors } from './embeddings.js';
import type { ModelPlan } from './types.js';

/** How prompts are encoded, whatever they say. */
export interface EncodeOptions {
  /** Scale of classifier-free guidance, or the guidance that a distilled network takes as input. */
  guidance: number;
  /** 1 = last layer. */
  clipSkip: number;
  /** How emphasis is written. Default: 'webui'. */
  syntax?: PromptSyntax;
  /** Several prompts are combined, which needs the negative one whatever the guidance is. */
  combined?: boolean;
  /** Words of the prompts that stand for learned vectors, and the files that hold them. */
  embeddings?: readonly { word: string; path: string }[];
  width: number;
  height: number;
}

/** The texts of a request, each once; what changes from step to step has been taken apart already. */
export interface TextsRequest extends EncodeOptions {
  prompts: readonly string[];
  negativePrompts: readonly string[];
}

/** One prompt and what to avoid. */
export interface PromptRequest extends EncodeOptions {
  prompt: string;
  negativePrompt: string;
}

/** The text part of a denoiser's conditioning (see ConditioningInputs). */
export interface PromptConditioning {
  context: Tensor;
  vector?: Tensor;
  guidance?: number;
}

/** In the order of the texts. */
export interface EncodedTexts {
  positives: PromptConditioning[];
  /** Empty where guidance needs no second pass. */
  negatives: PromptConditioning[];
  /** For people: what of the texts the encoders did not see. */
  notes: string[];
}

export interface EncodedPrompts {
  positive: PromptConditioning;
  /** Present when classifier-free guidance needs a second pass. */
  negative?: PromptConditioning;
}

export interface FamilyRuntime {
  /** The conditioning depends on the picture's size, so another size needs another encoding. */
  readonly readsSize?: boolean;
  /** Its prompts may have emphasis, schedules and AND; other families take all of it as words. */
  readonly readsSyntax?: boolean;
  /** `encoders` are in the order of plan.textEncoders; `learned` only comes to families of CLIP encoders alone. */
  encodeTexts(
    encoders: TextEncoder[],
    plan: ModelPlan,
    request: TextsRequest,
    learned: LearnedVectors,
  ): Promise<EncodedTexts>;
  noiseLevels(plan: ModelPlan, request: { width: number; height: number; steps: number }): NoiseLevels;
}
