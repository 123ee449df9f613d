// What a family decides while a request runs: how prompts become conditioning, and which noise levels its network
// knows. The pipeline looks a family up here by the key in its plan; a new family is one line.
import type { Tensor, TextEncoder } from '../native/addon.js';
import type { NoiseLevels } from '../sampling/noise-levels.js';
import { ImageForgeError } from '../shared/errors.js';
import type { LearnedVectors } from './embeddings.js';
import { fluxRuntime } from './flux/runtime.js';
import { flux2Runtime } from './flux2/runtime.js';
import { sd1Runtime, sd2Runtime } from './sd/runtime.js';
import { sdxlRuntime } from './sdxl/runtime.js';
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

const runtimes: Record<string, FamilyRuntime> = {
  sd1: sd1Runtime,
  sd2: sd2Runtime,
  sdxl: sdxlRuntime,
  flux: fluxRuntime,
  flux2: flux2Runtime,
};

export function findRuntime(family: string): FamilyRuntime {
  const runtime = runtimes[family];
  if (!runtime)
    throw new ImageForgeError('UNSUPPORTED', `No pipeline runs models of the family ${family} yet.`);
  return runtime;
}
