// Applies styles to a request's prompts and makes their choices. This comes before paths are checked, since both may name
// LoRAs.
import { randomInt } from 'node:crypto';
import { expandFromLibrary } from '../../registry/prompt-library.js';
import type { Config } from '../../shared/config.js';
import type { PromptSyntax } from '../../shared/prompt-syntaxes.js';
import { parseSeed, requireSeeds, type Seed, type SeedInput, seedOf } from '../../shared/seed.js';

/** The parts of a request that affect its prompts. */
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
  /** The prompts of each picture of the batch, if they differ. */
  pictures: readonly { prompt: string; negativePrompt: string }[] | undefined;
  /** Whether the model reads other prompts than the given ones. */
  expanded: boolean;
}

/** @throws ImageForgeError INVALID_ARGUMENT, as expandFromLibrary does, and for an invalid seed. */
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
