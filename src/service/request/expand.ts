// A request with styles around its prompts and their choices made, before its paths are looked at: both may name LoRAs.
import { randomInt } from 'node:crypto';
import { expandFromLibrary } from '../../registry/prompt-library.js';
import type { Config } from '../../shared/config.js';
import type { PromptSyntax } from '../../shared/prompt-syntaxes.js';

/** What of a request decides about its prompts. */
export interface Expandable {
  prompt: string;
  negativePrompt: string;
  styles?: string[] | undefined;
  promptSyntax?: PromptSyntax | undefined;
  seed?: number | undefined;
  batch: number;
  loras: readonly { path: string; strength: number }[];
}

export interface Expanded {
  seed: number;
  promptSyntax: PromptSyntax;
  /** For each picture of the batch its own prompts, where they differ. */
  pictures: readonly { prompt: string; negativePrompt: string }[] | undefined;
  /** What was asked for is not what the model reads. */
  expanded: boolean;
}

/** @throws ImageForgeError INVALID_ARGUMENT as expandFromLibrary */
export function expandRequest<T extends Expandable>(
  asked: T,
  config: Pick<Config, 'promptDir' | 'promptSyntax' | 'modelDir'>,
): T & Expanded {
  const { seed = randomInt(2 ** 32), styles = [], promptSyntax = config.promptSyntax } = asked;
  const seeds = Array.from({ length: asked.batch }, (_, i) => seed + i);
  const library = expandFromLibrary({ ...asked, styles, seeds, syntax: promptSyntax }, config);
  const [first] = library.pictures;
  const differ = library.pictures.some(
    ({ prompt, negativePrompt }) => prompt !== first!.prompt || negativePrompt !== first!.negativePrompt,
  );
  return {
    ...asked,
    ...first,
    seed,
    promptSyntax,
    expanded: library.expanded,
    pictures: differ ? library.pictures : undefined,
    loras: [...asked.loras, ...library.loras],
  };
}
