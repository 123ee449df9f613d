// A weight file with more in it: tensors with values, and metadata.
import { readFileSync, writeFileSync } from 'node:fs';
import { safetensors, writeTemporary } from '../weights/make-files.js';

export interface Added {
  shape: number[];
  values: number[];
}

/** An empty tensor, as tools write marks. */
export const mark: Added = { shape: [0], values: [] };

/** The tensors of a checkpoint whose names begin with `prefix`, in a file of their own. */
export function onlyBelow(path: string, prefix: string, target: string): void {
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = Object.entries(
    JSON.parse(file.subarray(8, 8 + length).toString()) as Record<string, object>,
  );
  const kept = Object.fromEntries(header.filter(([name]) => name.startsWith(prefix)));
  const data = Buffer.concat(
    Object.values(kept).map((entry) => {
      const [from, to] = (entry as { data_offsets: [number, number] }).data_offsets;
      return file.subarray(8 + length + from, 8 + length + to);
    }),
  );
  let end = 0;
  for (const [name, entry] of Object.entries(kept)) {
    const { data_offsets, ...rest } = entry as { data_offsets: [number, number] };
    const bytes = data_offsets[1] - data_offsets[0];
    kept[name] = { ...rest, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  writeFileSync(target, safetensors(kept, data));
}

/** A copy of the safetensors file at `path`; a name that is there already is replaced. */
export function withTensors(
  path: string,
  added: Record<string, Added>,
  metadata: Record<string, string> = {},
): string {
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<string, object>;
  const parts: Buffer[] = [file.subarray(8 + length)];
  let end = file.length - 8 - length;
  for (const [name, { shape, values }] of Object.entries(added)) {
    const data = Buffer.from(Float32Array.from(values).buffer);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + data.length] };
    end += data.length;
    parts.push(data);
  }
  header.__metadata__ = { ...header.__metadata__, ...metadata };
  return writeTemporary(safetensors(header, Buffer.concat(parts)), 'safetensors');
}
