// From the prompts of a request to those of each of its pictures: styles around them, then the choices of wildcards and
// variants, which the picture's seed makes.
import type { PromptSyntax } from '../shared/prompt-syntaxes.js';
import type { SeedInput } from '../shared/seed.js';
import { seededRandom } from './random-choices.js';
import { applyStyles, type Style } from './styles.js';
import { expandWildcards, type Wildcards } from './wildcards.js';

export interface PromptTemplate {
  prompt: string;
  negativePrompt: string;
  styles: readonly Style[];
  /** Of each picture. */
  seeds: readonly SeedInput[];
  syntax: PromptSyntax;
}

/**
 * One pair of prompts for each seed. In plain syntax only styles apply.
 * @throws ImageForgeError INVALID_ARGUMENT as expandWildcards
 */
export function expandPrompts(
  { prompt, negativePrompt, styles, seeds, syntax }: PromptTemplate,
  wildcards: Wildcards,
): { prompt: string; negativePrompt: string }[] {
  const styled = applyStyles({ prompt, negativePrompt }, styles);
  if (syntax === 'plain') return seeds.map(() => styled);
  return seeds.map((seed) => ({
    prompt: expandWildcards(styled.prompt, wildcards, seededRandom(seed, 'prompt')),
    negativePrompt: expandWildcards(styled.negativePrompt, wildcards, seededRandom(seed, 'negative prompt')),
  }));
}
