// What models there are for a user: the embedded one, the catalogue, and files in the model folder.
import { statSync } from 'node:fs';
import { type CatalogEntry, catalog, maxSideOf, POCKET } from '../registry/catalog.js';
import { listLooseModels, locateHubFile, locatePocket } from '../registry/locate.js';
import { findDefault, howToGet, isUnlocked, listMissing } from '../registry/resolve-model.js';
import type { Config } from '../shared/config.js';

export interface ModelInfo {
  key: string;
  title: string;
  operations: readonly string[];
  default_steps: number | null;
  default_guidance: number | null;
  default_width: number | null;
  default_height: number | null;
  max_resolution: number;
  est_memory: string | null;
  quality: string | null;
  /** The variable that unlocks it, null when it needs none. */
  guard: string | null;
  guard_reason: string | null;
  locked: boolean;
  /** Every file is on this disk. */
  available: boolean;
  /** How to get what is missing, null when nothing is. */
  how_to_get: string | null;
  bytes: number | null;
  path: string | null;
  default: boolean;
}

const ALL = ['text2img', 'img2img', 'inpaint'];

export function listModels(config: Config): ModelInfo[] {
  const chosen = config.model ?? findDefault(config);
  return [
    describeFile(POCKET, 'The small model in the package: shapes and simple objects', locatePocket(), config),
    ...catalog.map((entry) => describeEntry(entry, config)),
    ...listLooseModels(config).map(({ name, file }) =>
      describeFile(name, 'File in the model folder', file, config),
    ),
  ].map((info) => ({ ...info, default: info.key === chosen }));
}

function describeEntry(entry: CatalogEntry, config: Config): Omit<ModelInfo, 'default'> {
  const { key, title, operations, defaults, guard } = entry;
  const available = listMissing(entry, config).length === 0;
  const files = Object.values(entry.files).map((file) => locateHubFile(file, config));
  return {
    key,
    title,
    operations,
    default_steps: defaults.steps ?? null,
    default_guidance: defaults.guidance ?? null,
    default_width: defaults.width ?? null,
    default_height: defaults.height ?? null,
    max_resolution: maxSideOf(entry, config),
    est_memory: entry.memory,
    quality: entry.quality,
    guard: guard ? (guard.setting === 'allowFlux' ? 'ALLOW_FLUX' : 'ALLOW_KLEIN') : null,
    guard_reason: guard?.reason ?? null,
    locked: !isUnlocked(entry, config),
    available,
    how_to_get: available ? null : howToGet(entry, config),
    bytes: available ? files.reduce((sum, file) => sum + sizeOf(file), 0) : null,
    path: files[0] ?? null,
  };
}

function describeFile(key: string, title: string, file: string, config: Config): Omit<ModelInfo, 'default'> {
  const bytes = sizeOf(file);
  return {
    key,
    title,
    operations: ALL,
    default_steps: null,
    default_guidance: null,
    default_width: null,
    default_height: null,
    max_resolution: maxSideOf(undefined, config),
    est_memory: null,
    quality: null,
    guard: null,
    guard_reason: null,
    locked: false,
    available: bytes > 0,
    how_to_get: null,
    bytes: bytes > 0 ? bytes : null,
    path: file,
  };
}

function sizeOf(file: string | undefined): number {
  return file === undefined ? 0 : (statSync(file, { throwIfNoEntry: false })?.size ?? 0);
}
