// Views of bytes in files as tensors, and the table of them that the addon takes.
import type { ScaleTable, TensorEntry, Weights } from '../native/addon.js';
import type { TensorForm } from './types.js';

export interface TensorView extends TensorForm {
  path: string;
  offset: number;
  bytes: number;
  /** The rows lie in several places, in this order; `path` and `offset` are the first one's. */
  parts?: TensorView[];
}

/** Files by number, in the order in which they are first asked for. */
class FileNumbers {
  readonly paths: string[] = [];
  readonly #numbers = new Map<string, number>();

  of(path: string): number {
    let number = this.#numbers.get(path);
    if (number === undefined) {
      number = this.paths.push(path) - 1;
      this.#numbers.set(path, number);
    }
    return number;
  }
}

/** The table that the addon takes. */
export function toWeights(tensors: ReadonlyMap<string, TensorView>): Weights {
  const files = new FileNumbers();
  const entries: TensorEntry[] = [];
  for (const [name, view] of tensors) {
    if (!view.parts) {
      entries.push(toEntry(name, view, files));
      continue;
    }
    let row = 0;
    for (const part of view.parts) {
      entries.push({ ...toEntry(name, part, files), row });
      row += part.shape[0] ?? 1;
    }
  }
  return { files: files.paths, tensors: entries };
}

function toEntry(name: string, view: TensorView, files: FileNumbers): TensorEntry {
  const { path, offset, type, shape, tapsFirst, skip, scale, rotation } = view;
  const file = files.of(path);
  return {
    name,
    file,
    offset,
    type,
    shape,
    ...(tapsFirst && { tapsFirst }),
    ...(skip !== undefined && { skip }),
    ...(scale !== undefined && { scale }),
    ...(view.scales && { scales: toTable(view.scales, files) }),
    ...(rotation !== undefined && { rotation }),
  };
}

function toTable({ path, ...table }: NonNullable<TensorForm['scales']>, files: FileNumbers): ScaleTable {
  return { file: files.of(path), ...table };
}
