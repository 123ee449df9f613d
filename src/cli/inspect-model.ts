// What `imageforge models inspect` prints: the file's own facts, and the model that it is (or the reason why not).
import { statSync } from 'node:fs';
import { planModel } from '../families/index.js';
import type { ModelPlan, NetworkPlan } from '../families/types.js';
import { ImageForgeError } from '../shared/errors.js';
import { readWeightFile } from '../weights/read-weight-file.js';
import type { WeightFile } from '../weights/types.js';
import { formatBytes, formatTable } from './table.js';

const MAX_VALUE = 200;

export async function printInspection(file: string, json: boolean): Promise<void> {
  const info = statSync(file, { throwIfNoEntry: false });
  if (!info) throw new ImageForgeError('NOT_FOUND', `There is no file ${file}.`, { details: { file } });
  const weights = info.isDirectory() ? undefined : await readWeightFile(file);
  const plan = await planModel({ model: file }).catch((error: unknown) => ImageForgeError.from(error));
  const facts = {
    ...(weights && describeFile(weights)),
    ...(plan instanceof ImageForgeError
      ? { model: null, reason: plan.message, ...(plan.hint && { hint: plan.hint }) }
      : { model: describePlan(plan) }),
  };
  if (json) {
    process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
    return;
  }
  const rows = Object.entries(facts).flatMap(([key, value]) => toRows(key, value));
  process.stdout.write(formatTable(rows));
}

function describeFile({ path, format, size, tensors, metadata }: WeightFile) {
  const types: Record<string, number> = {};
  for (const { type } of tensors.values()) types[type] = (types[type] ?? 0) + 1;
  const values = [...metadata].map(([key, value]): [string, string] => [
    key,
    Array.isArray(value) ? `list of ${value.length}` : String(value).slice(0, MAX_VALUE),
  ]);
  return {
    file: path,
    format,
    bytes: size,
    tensors: tensors.size,
    types,
    metadata: Object.fromEntries(values),
  };
}

function describePlan(plan: ModelPlan) {
  const network = ({ kind, bytes, config }: NetworkPlan) => ({ kind, bytes, config });
  return {
    family: plan.family,
    name: plan.name,
    prediction: plan.prediction,
    inpaint: plan.inpaint,
    defaults: plan.defaults,
    networks: [...plan.textEncoders, plan.denoiser, plan.autoencoder].map(network),
  };
}

function toRows(key: string, value: unknown): string[][] {
  if (key === 'bytes' && typeof value === 'number') return [[key, formatBytes(value)]];
  if (Array.isArray(value)) return value.flatMap((entry, i) => toRows(`${key}.${i}`, entry));
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([inner, entry]) =>
      inner === 'config' ? [[`${key}.config`, JSON.stringify(entry)]] : toRows(`${key}.${inner}`, entry),
    );
  return [[key, String(value)]];
}
