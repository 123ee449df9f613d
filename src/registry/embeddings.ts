// Finds the embeddings that prompts use: words that are the name of a file in the embedding folders or in the request.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { isPickled, readEmbedding, takesEmbeddings } from '../families/embeddings.js';
import type { ModelPlan } from '../families/types.js';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import type { PromptSyntax } from '../shared/prompt-syntaxes.js';
import { matchWords } from '../text/learned-words.js';

export type EmbeddingFolders = Pick<Config, 'embeddingDir' | 'modelDir'>;

/** A word of the prompts and the file that it stands for. */
export interface UsedEmbedding {
  word: string;
  path: string;
}

interface Candidate {
  name: string;
  file: string;
}

/** Folders that are searched for names, in this order. */
export function listEmbeddingFolders({ embeddingDir, modelDir }: EmbeddingFolders): string[] {
  return [...new Set([...(embeddingDir ? [embeddingDir] : []), path.join(modelDir, 'embeddings')])];
}

/** Lists the files in the folders and their subfolders by name, without ending. The first file of a name counts. */
export function listEmbeddings(folders: EmbeddingFolders): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const folder of listEmbeddingFolders(folders)) {
    for (const file of listFiles(folder)) {
      const name = nameOf(file);
      if (!found.has(name.toLowerCase())) found.set(name.toLowerCase(), { name, file });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Finds the embeddings that prompts use: by name as in the WebUI, as "embedding:name" as in ComfyUI, and by the token in
 * a diffusers file ("<cat-toy>"). In ComfyUI's syntax only the second of these is read, in plain words none. `named` are
 * files or names from the request. If a bare word is the name of a file that doesn't fit the model, it stays a word and
 * a note says so; an embedding that was asked for in any other way is refused.
 * @throws ImageForgeError NOT_FOUND that names the folders, and the codes of readEmbedding.
 */
export async function resolveEmbeddings(
  prompts: readonly string[],
  named: readonly string[],
  plan: ModelPlan,
  config: Config,
  syntax: PromptSyntax = 'webui',
): Promise<{ used: UsedEmbedding[]; notes: string[] }> {
  const given = named.map((name) => findNamed(name, config));
  for (const { file } of given) await readEmbedding(file, plan);
  const used = new Map<string, UsedEmbedding>();
  const use = (word: string, file: string) => used.set(word.toLowerCase(), { word, path: file });

  const text = syntax === 'plain' ? '' : prompts.join('\n');
  const folder = /[<\p{L}\p{N}]/u.test(text) ? listEmbeddings(config) : [];
  const all = [...given, ...folder];
  let rest = text;
  for (const [word, name] of listMentions(text)) {
    rest = rest.replaceAll(word, ' ');
    const file = all.find((candidate) => isCalled(candidate, name))?.file;
    if (file === undefined) throw missingEmbedding(name, config);
    await readEmbedding(file, plan);
    use(word, file);
  }

  const notes: string[] = [];
  if (takesEmbeddings(plan) && syntax === 'webui') {
    const tagged = /<[^<>\s]+>/.test(text);
    for (const { name, file } of all) {
      const bare = matchWords([name]).test(rest);
      const asked = given.some((candidate) => candidate.file === file);
      if (!bare && !tagged && !asked) continue;
      const read = await readEmbedding(file, plan).catch((error) => ImageForgeError.from(error));
      if (read instanceof ImageForgeError) {
        if (bare) notes.push(`${name} was taken as plain words: ${read.message}. ${read.hint ?? ''}`.trim());
        continue;
      }
      if (bare && !used.has(name.toLowerCase())) use(name, file);
      if (read.token && text.toLowerCase().includes(read.token.toLowerCase())) use(read.token, file);
    }
  }
  for (const { name, file } of given)
    if (![...used.values()].some((embedding) => embedding.path === file))
      notes.push(`The embedding ${name} was not used: its name is in neither prompt.`);
  return { used: [...used.values()], notes };
}

/** Finds "embedding:name" in the prompts, with the name. A number after the colon is a weight instead. */
function listMentions(text: string): [word: string, name: string][] {
  const found = text.matchAll(/(?<![\p{L}\p{N}_])embedding:([^\s,:()[\]<>|]*[^\s,:()[\]<>|.])/giu);
  return [...found].filter(([, name]) => !/^[+-]?[\d.]+$/.test(name!)).map(([word, name]) => [word, name!]);
}

function isCalled({ name, file }: Candidate, wanted: string): boolean {
  const plain = stripEnding(wanted).toLowerCase();
  if (name.toLowerCase() === plain) return true;
  // names in ComfyUI may include folders
  const whole = stripEnding(file).replaceAll(path.sep, '/').toLowerCase();
  return plain.includes('/') && whole.endsWith(`/${plain}`);
}

function findNamed(name: string, config: Config): Candidate {
  const direct = path.resolve(config.workingDir, name);
  if (isFile(direct)) return { name: nameOf(direct), file: direct };
  const found = findEmbedding(name, config);
  if (found) return found;
  throw missingEmbedding(name, config);
}

/** Finds a file in the embedding folders; names can't lead out of them. */
export function findEmbedding(name: string, folders: EmbeddingFolders): Candidate | undefined {
  return listEmbeddings(folders).find((candidate) => isCalled(candidate, name));
}

function missingEmbedding(name: string, folders: EmbeddingFolders): ImageForgeError {
  const places = listEmbeddingFolders(folders);
  return new ImageForgeError(
    'NOT_FOUND',
    `There is no embedding ${name}, neither as a file nor in ${places.join(', ')}.`,
    {
      hint: `Put ${nameOf(name)}.safetensors into ${places[0]}, or name its file with --embedding.`,
      details: { embedding: name, folders: places },
    },
  );
}

function listFiles(folder: string): string[] {
  try {
    return (readdirSync(folder, { recursive: true }) as string[])
      .filter((name) => name.endsWith('.safetensors') || isPickled(name))
      .sort((a, b) => Number(isPickled(a)) - Number(isPickled(b)) || (a < b ? -1 : 1))
      .map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}

function nameOf(file: string): string {
  return path.basename(stripEnding(file));
}

function stripEnding(file: string): string {
  return file.replace(/\.(safetensors|pt|pth|bin|ckpt)$/i, '');
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}
