// Remembers the identity of weight files and the plan made from them for as long as the files do not change. Reading both
// again would cost every request milliseconds, which add up when hundreds of clients wait.
import { stat } from 'node:fs/promises';
import type { ModelFiles, ModelPlan } from '../../families/types.js';
import { identifyFile, listWeightFiles } from './identity.js';

const MAX_KEPT = 64;

interface Known<T> {
  stamp: string;
  value: Promise<T>;
}

export class ModelMemory {
  readonly #makePlan: (files: ModelFiles) => Promise<ModelPlan>;
  readonly #identities = new Map<string, Known<string>>();
  readonly #plans = new Map<string, Known<ModelPlan>>();
  /** All weight files of a plan. There may be more than the request named, since an index names shards. */
  readonly #filesOf = new Map<string, string[]>();

  constructor(makePlan: (files: ModelFiles) => Promise<ModelPlan>) {
    this.#makePlan = makePlan;
  }

  async identify(file: string): Promise<string> {
    return recall(this.#identities, file, await stampOf([file]), () => identifyFile(file));
  }

  async plan(files: ModelFiles): Promise<ModelPlan> {
    const key = JSON.stringify(Object.entries(files).sort());
    const named = Object.values(files);
    const stamp = await stampOf(this.#filesOf.get(key) ?? named);
    return recall(this.#plans, key, stamp, async () => {
      const plan = await this.#makePlan(files);
      const all = [...new Set([...named, ...listWeightFiles(plan)])];
      keep(this.#filesOf, key, all);
      this.#plans.get(key)!.stamp = await stampOf(all);
      return plan;
    });
  }
}

function recall<T>(
  known: Map<string, Known<T>>,
  key: string,
  stamp: string,
  make: () => Promise<T>,
): Promise<T> {
  const found = known.get(key);
  if (found?.stamp === stamp) return found.value;
  const entry: Known<T> = { stamp, value: Promise.resolve().then(make) };
  keep(known, key, entry);
  // Failures are not remembered, so the next call tries again.
  entry.value.catch(() => known.get(key) === entry && known.delete(key));
  return entry.value;
}

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= MAX_KEPT) break;
    map.delete(oldest);
  }
}

/** Changes whenever a file is written or replaced. Includes ctime, which programs cannot set back. */
async function stampOf(files: readonly string[]): Promise<string> {
  const stats = await Promise.all(files.map((file) => stat(file).catch(() => undefined)));
  return JSON.stringify(stats.map((info) => info && [info.ino, info.size, info.mtimeMs, info.ctimeMs]));
}
