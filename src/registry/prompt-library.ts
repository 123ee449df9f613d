// The user's wildcards and styles: text files in PROMPT_DIR, or in IMAGEFORGE_MODEL_DIR where that is not set.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import type { PromptSyntax } from '../shared/prompt-syntaxes.js';
import type { Seed } from '../shared/seed.js';
import { expandPrompts } from '../text/expand-prompts.js';
import { type NamedLora, takeLoraTags } from '../text/lora-tags.js';
import { findStyles, readStyles, type Style } from '../text/styles.js';
import { readWildcardLines, type Wildcards } from '../text/wildcards.js';

export type PromptFolders = Pick<Config, 'promptDir' | 'modelDir'>;

const maxBytes = 2 ** 24;

/** wildcards/ and the folders in it. Names are looked up among the files that are there, so none leads out of it. */
export function openWildcards(folders: PromptFolders): Wildcards {
  const folder = path.join(folderOf(folders), 'wildcards');
  let files: Map<string, string> | undefined;
  const list = () => {
    files ??= new Map(listFiles(folder, /\.txt$/i).map((file) => [nameOf(folder, file), file]));
    return files;
  };
  return {
    folder,
    names: () => [...list().keys()],
    read: (name) => readWildcardLines(readText(list().get(name)!)),
  };
}

/** @throws ImageForgeError INVALID_ARGUMENT for a name that is in no file, or a file that has no styles */
export function loadStyles(names: readonly string[], folders: PromptFolders): Style[] {
  return names.length === 0 ? [] : findStyles(names, listStyles(folders), folderOf(folders));
}

/** Those of styles.csv and styles.json, then of the files in styles/; the first of a name counts. */
export function listStyles(folders: PromptFolders): Style[] {
  const folder = folderOf(folders);
  const own = ['styles.csv', 'styles.json'].map((name) => path.join(folder, name)).filter(isFile);
  const known = new Map<string, Style>();
  for (const file of [...own, ...listFiles(path.join(folder, 'styles'), /\.(csv|json)$/i)])
    for (const style of readStyles(readText(file), file))
      if (!known.has(style.name)) known.set(style.name, style);
  return [...known.values()];
}

/** Prompts of a request as they were asked for. */
export interface AskedPrompts {
  prompt: string;
  negativePrompt: string;
  /** Names. */
  styles: readonly string[];
  /** Of each picture. */
  seeds: readonly Seed[];
  syntax: PromptSyntax;
}

export interface ExpandedPrompts {
  /** One pair for each picture. */
  pictures: readonly { prompt: string; negativePrompt: string }[];
  /** Those that tags in the prompts name. */
  loras: NamedLora[];
  /** Whether styles or choices changed the prompts. */
  expanded: boolean;
}

/**
 * The prompts of each picture, with styles around them, their choices made, and LoRA tags taken out.
 * @throws ImageForgeError INVALID_ARGUMENT for what is unknown, and where pictures of a batch would need several LoRAs
 */
export function expandFromLibrary(asked: AskedPrompts, folders: PromptFolders): ExpandedPrompts {
  const { prompt, negativePrompt } = asked;
  const template = { ...asked, styles: loadStyles(asked.styles, folders) };
  const texts = expandPrompts(template, openWildcards(folders));
  const taken = texts.map((text) => takeLoraTags(text.prompt));
  const [first] = taken;
  if (taken.some(({ loras }) => JSON.stringify(loras) !== JSON.stringify(first!.loras)))
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      'prompt: its choices name other LoRAs for each picture of the batch; all pictures of a batch share theirs.',
      { hint: 'Ask for the pictures one by one.', details: { fields: ['prompt', 'batch'] } },
    );
  return {
    pictures: texts.map((text, i) => ({ ...text, prompt: taken[i]!.prompt })),
    loras: first?.loras ?? [],
    expanded: texts.some((text) => text.prompt !== prompt || text.negativePrompt !== negativePrompt),
  };
}

function folderOf({ promptDir, modelDir }: PromptFolders): string {
  return promptDir || modelDir;
}

function nameOf(folder: string, file: string): string {
  return path
    .relative(folder, file)
    .replaceAll(path.sep, '/')
    .replace(/\.txt$/i, '');
}

function listFiles(folder: string, ending: RegExp): string[] {
  try {
    return (readdirSync(folder, { recursive: true }) as string[])
      .filter((name) => ending.test(name))
      .sort()
      .map((name) => path.join(folder, name))
      .filter(isFile);
  } catch {
    return [];
  }
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function readText(file: string): string {
  const { size } = statSync(file);
  if (size > maxBytes)
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `${file} has ${size} bytes; at most ${maxBytes} are read.`,
      {
        details: { file },
      },
    );
  return readFileSync(file, 'utf8');
}
