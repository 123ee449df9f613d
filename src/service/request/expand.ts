// A request with styles around its prompts and their choices made, before its paths are looked at: both may name LoRAs.
import { randomInt } from 'node:crypto';
import { expandFromLibrary } from '../../registry/prompt-library.js';
import type { Config } from '../../shared/config.js';
import type { PromptSyntax } from '../../shared/prompt-syntaxes.js';
import { parseSeed, requireSeeds, type Seed, type SeedInput, seedOf } from '../../shared/seed.js';

/** What of a request decides about its prompts. */
export interface Expandable {
  prompt: string;
  negativePrompt: string;
  styles?: string[] | undefined;
  promptSyntax?: PromptSyntax | undefined;
  seed?: SeedInput | undefined;
  batch: number;
  loras: readonly { path: string; strength: number }[];
}

export interface Expanded {
  seed: Seed;
  promptSyntax: PromptSyntax;
  /** For each picture of the batch its own prompts, where they differ. */
  pictures: readonly { prompt: string; negativePrompt: string }[] | undefined;
  /** What was asked for is not what the model reads. */
  expanded: boolean;
}

/** @throws ImageForgeError INVALID_ARGUMENT as expandFromLibrary, and for a seed that is none */
export function expandRequest<T extends Expandable>(
  asked: T,
  config: Pick<Config, 'promptDir' | 'promptSyntax' | 'modelDir'>,
): T & Expanded {
  const { styles = [], promptSyntax = config.promptSyntax } = asked;
  const seed = parseSeed(asked.seed ?? randomInt(2 ** 32));
  requireSeeds(seed, asked.batch);
  const seeds = Array.from({ length: asked.batch }, (_, i) => seedOf(seed, i));
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
