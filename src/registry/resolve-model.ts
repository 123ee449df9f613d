// Finds the files of the model that a user names: by a key of the catalogue, a hub id, a loose file's name, or a path.
import { statSync } from 'node:fs';
import path from 'node:path';
import type { ModelFiles, Part } from '../families/types.js';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { readFreeMemory } from '../shared/free-memory.js';
import {
  type CatalogEntry,
  catalog,
  findEntry,
  guardVariable,
  type HubFile,
  maxSideOf,
  modelKeys,
  POCKET,
} from './catalog.js';
import { listLooseModels, locateHubFile, locatePocket } from './locate.js';

export interface ResolvedModel {
  /** Its name in answers and sidecars: the key, or the path as it was given. */
  key: string;
  files: ModelFiles;
  loras: { path: string; strength: number }[];
  defaults: CatalogEntry['defaults'];
  entry?: CatalogEntry;
  maxSide: number;
  /** Neither the request nor a setting named it. */
  chosenByUs: boolean;
}

export interface ModelRequest {
  model?: string | undefined;
  parts?: Partial<Record<Exclude<Part, 'model'>, string>>;
}

/**
 * @throws ImageForgeError MODEL_NOT_FOUND, MODEL_GUARDED, or MODEL_INCOMPLETE naming the missing files and how to get
 *   them.
 */
export function resolveModel({ model, parts = {} }: ModelRequest, config: Config): ResolvedModel {
  const name = model ?? config.model ?? findDefault(config);
  const found = name === POCKET ? resolvePocket(config) : resolveKeyOrFile(name, config);
  const files = { ...found.files, ...resolveParts(parts, config) };
  return { ...found, files, chosenByUs: model === undefined && config.model === undefined };
}

/** Key or path of the model for requests that name none. */
export function nameDefault(config: Config): string {
  return config.model === undefined ? findDefault(config) : (findEntry(config.model)?.key ?? config.model);
}

/**
 * Refuses at start a default model that can't exist; one that only has to be downloaded is accepted.
 * @throws ImageForgeError CONFIG_INVALID.
 */
export function requireDefault(config: Config): void {
  const { model } = config;
  if (model === undefined || model === POCKET || findEntry(model) || findFile(model, config)) return;
  const name = config.set.has('IMAGEFORGE_MODEL') ? 'IMAGEFORGE_MODEL' : 'FLUX_MODEL_ID';
  const allowed = `one of ${modelKeys.join(', ')}, a Hugging Face id of one of them, or an existing file`;
  throw new ImageForgeError('CONFIG_INVALID', `${name}=${model}: expected ${allowed}`, {
    hint: 'Correct it in the environment or in .env.',
  });
}

/**
 * The first catalogue model that is complete on this disk and not guarded; sd-turbo, the default of the replaced program,
 * comes first.
 */
export function findDefault(config: Config): string {
  const preferred = ['sd-turbo', ...catalog.map(({ key }) => key)];
  const usable = preferred.find((key) => {
    const entry = findEntry(key)!;
    return isUnlocked(entry, config) && listMissing(entry, config).length === 0;
  });
  return usable ?? POCKET;
}

export interface NamedFile {
  /** Which part of the model it is, or 'LoRA'. */
  what: string;
  file: HubFile;
}

/** The files of an entry that the hub has. */
export function listFiles(entry: CatalogEntry): NamedFile[] {
  const files = Object.entries(entry.files).map(([what, file]) => ({ what, file }));
  const loras = entry.loras.flatMap(({ file }) => (file ? [{ what: 'LoRA', file }] : []));
  return [...files, ...loras];
}

/** The files of an entry that are missing on this disk. */
export function listMissing(entry: CatalogEntry, config: Config): NamedFile[] {
  return listFiles(entry).filter(({ file }) => locateHubFile(file, config) === undefined);
}

export function isUnlocked({ guard }: CatalogEntry, config: Config): boolean {
  return guard === undefined || config[guard.setting];
}

/** Tells users how to get an entry's missing files. */
export function howToGet(entry: CatalogEntry, config: Config): string {
  const names = listMissing(entry, config).map(({ file }) => `${file.repo}/${file.path}`);
  return `imageforge models pull ${entry.key} (downloads ${names.join(', ')} into ${config.modelDir})`;
}

function resolvePocket(config: Config): Omit<ResolvedModel, 'chosenByUs'> {
  const model = locatePocket();
  if (!statSync(model, { throwIfNoEntry: false })) {
    throw new ImageForgeError('MODEL_NOT_FOUND', `The package's own model is missing: ${model}.`, {
      hint: 'Install the package again, or name a model: --model FILE.',
      details: { model: POCKET },
    });
  }
  return {
    key: POCKET,
    files: { model },
    loras: [],
    defaults: {},
    maxSide: maxSideOf(undefined, config),
  };
}

function resolveKeyOrFile(name: string, config: Config): Omit<ResolvedModel, 'chosenByUs'> {
  const entry = findEntry(name);
  if (entry) return resolveEntry(entry, config);
  const file = findFile(name, config);
  if (file === undefined) throw notFound(name, config);
  return {
    key: name,
    files: { model: file },
    loras: [],
    defaults: {},
    maxSide: maxSideOf(undefined, config),
  };
}

function resolveEntry(entry: CatalogEntry, config: Config): Omit<ResolvedModel, 'chosenByUs'> {
  const { key, guard } = entry;
  if (guard && !isUnlocked(entry, config)) {
    const variable = guardVariable(guard);
    throw new ImageForgeError(
      'MODEL_GUARDED',
      `Model '${key}' is guarded: ${guard.reason}; ${(readFreeMemory() / 1e9).toFixed(1)} GB are free here.`,
      {
        hint: `Set ${variable}=1 to use it.`,
        details: { model: key, setting: variable },
      },
    );
  }
  const missing = listMissing(entry, config);
  if (missing.length > 0) {
    const names = missing.map(({ what, file }) => `${path.posix.basename(file.path)} (${what})`);
    throw new ImageForgeError(
      'MODEL_INCOMPLETE',
      `Model '${key}' is not on this disk: ${names.join(', ')} missing.`,
      {
        hint: howToGet(entry, config),
        details: { model: key, missing: missing.map(({ file }) => file) },
      },
    );
  }
  const files = Object.fromEntries(
    Object.entries(entry.files).map(([part, file]) => [part, locateHubFile(file, config)!]),
  ) as ModelFiles;
  const loras = entry.loras.flatMap(({ file, setting, strength }) => {
    const lora = file ? locateHubFile(file, config) : setting && config[setting];
    return lora ? [{ path: lora, strength }] : [];
  });
  return { key, files, loras, defaults: entry.defaults, entry, maxSide: maxSideOf(entry, config) };
}

function resolveParts(parts: ModelRequest['parts'] & object, config: Config): Partial<ModelFiles> {
  const resolved: Partial<ModelFiles> = {};
  for (const [part, name] of Object.entries(parts) as [Exclude<Part, 'model'>, string][]) {
    const file = findPath(name, config);
    if (file === undefined)
      throw new ImageForgeError('NOT_FOUND', `There is no file ${name} (named for ${part}).`, {
        details: { part, file: name },
      });
    resolved[part] = file;
  }
  return resolved;
}

/** The file of a loose model of that name, else the file at that path. */
function findFile(name: string, config: Config): string | undefined {
  return listLooseModels(config).find((found) => found.name === name)?.file ?? findPath(name, config);
}

function findPath(name: string, { workingDir }: Config): string | undefined {
  const file = path.resolve(workingDir, name);
  return statSync(file, { throwIfNoEntry: false }) ? file : undefined;
}

function notFound(name: string, config: Config): ImageForgeError {
  const loose = listLooseModels(config).map((model) => model.name);
  const isPath = /[\\/]|\.(gguf|safetensors|ckpt|pt|pth|bin|json)$/i.test(name);
  return new ImageForgeError(
    'MODEL_NOT_FOUND',
    isPath ? `There is no model file ${name}.` : `There is no model '${name}'.`,
    {
      hint: `Name a GGUF or safetensors file, or one of ${[...modelKeys, ...loose].join(', ')}.`,
      details: { model: name },
    },
  );
}
