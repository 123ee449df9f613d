// Reads the small JSON files that lie beside weights. Their size is bounded, since they may come from anywhere.
import { readFileSync, statSync } from 'node:fs';
import { invalid } from './check-tensors.js';

export const maxJsonBytes = 1 << 26;

/** Reads the object in a file; undefined when there is no such file. */
export function readJson(path: string): Record<string, unknown> | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isFile()) return undefined;
  if (stats.size > maxJsonBytes)
    throw invalid(path, `${stats.size} bytes are too many for a JSON file of a model`);
  return parseJson(readFileSync(path, 'utf8'), path);
}

/** Parses an object; `path` names it in the error. */
export function parseJson(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    try {
      value = JSON.parse(withoutInfinities(text));
    } catch {
      throw invalid(path, `this is not valid JSON: ${(error as Error).message}`);
    }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(path, 'a JSON object was expected');
  return value as Record<string, unknown>;
}

/** Python writes numbers that JSON does not have, such as the -Infinity of a DPM-Solver's settings; they become null. */
function withoutInfinities(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (token) =>
    token.startsWith('"') ? token : 'null',
  );
}
