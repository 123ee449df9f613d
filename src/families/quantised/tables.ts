// Which values each factor of a scale table is for.
import { countElements } from '../../weights/check-tensors.js';
import type { TensorForm } from '../../weights/types.js';
import type { TensorView } from '../tensors.js';
import { damaged } from './refusals.js';

export type ScaleTable = NonNullable<TensorForm['scales']>;

/** The tiles that tensor cores read block scales in. */
const tileRows = 128;
const tileColumns = 4;
/** Square blocks that files use without saying so; the most common first. */
const usualBlocks = [128, 64, 256, 32, 16];

export function isFloat({ type }: TensorView): boolean {
  return /^(f64|f32|f16|bf16)$/.test(type);
}

export function isSingle({ shape }: TensorView): boolean {
  return countElements(shape) === 1;
}

/**
 * A table of one factor a row, a block or a group of a row.
 * @returns undefined where its shape is none of these
 */
export function plainTable(
  scale: TensorView,
  matrix: TensorView,
  groupSize?: number,
): ScaleTable | undefined {
  const [rows = 1] = matrix.shape;
  const columns = countElements(matrix.shape.slice(1))!;
  const place = { path: scale.path, offset: scale.offset, type: scale.type };
  const count = countElements(scale.shape);
  const [down = 1, across = 1] = scale.shape;
  if (count === rows && down === rows)
    return { ...place, rows, columns: 1, blockRows: 1, blockColumns: columns };
  if (scale.shape.length < 2 || count !== down * across || down === 0 || across === 0) return undefined;
  const table = { ...place, rows: down, columns: across };
  if (down === rows && columns % across === 0)
    return { ...table, blockRows: 1, blockColumns: columns / across };
  for (const side of groupSize === undefined ? usualBlocks : [groupSize])
    if (Math.ceil(rows / side) === down && Math.ceil(columns / side) === across)
      return { ...table, blockRows: side, blockColumns: side };
  if (groupSize !== undefined || rows % down !== 0 || columns % across !== 0) return undefined;
  return { ...table, blockRows: rows / down, blockColumns: columns / across };
}

/** A table of one factor for every `block` values of a row, in the tiles of tensor cores. */
export function tiledTable(
  name: string,
  scale: TensorView,
  { shape: [rows = 1, columns = 1] }: Pick<TensorView, 'shape'>,
  block: number,
  type: string,
): ScaleTable {
  const height = Math.ceil(rows / tileRows) * tileRows;
  const width = Math.ceil(Math.ceil(columns / block) / tileColumns) * tileColumns;
  if (countElements(scale.shape) !== height * width)
    throw damaged(
      scale.path,
      name,
      `${name} has the shape [${scale.shape}]; [${height}, ${width}] was expected for ${rows} x ${columns} values`,
    );
  return {
    path: scale.path,
    offset: scale.offset,
    type,
    rows: height,
    columns: width,
    blockRows: 1,
    blockColumns: block,
    tiled: true,
  };
}

/** A table as it is read, row by row, of one factor for every `block` values of a row. */
export function blockTable(
  name: string,
  scale: TensorView,
  { shape: [rows = 1, columns = 1] }: Pick<TensorView, 'shape'>,
  block: number,
  type: string,
): ScaleTable {
  const across = Math.ceil(columns / block);
  if (String(scale.shape) !== String([rows, across]))
    throw damaged(
      scale.path,
      name,
      `${name} has the shape [${scale.shape}]; [${rows}, ${across}] was expected for ${rows} x ${columns} values`,
    );
  return {
    path: scale.path,
    offset: scale.offset,
    type,
    rows,
    columns: across,
    blockRows: 1,
    blockColumns: block,
  };
}
