// The published forms of quantised matrices, and what the bytes of each one stand for.
//
// | form             | values                               | scales                                                       |
// | ---------------- | ------------------------------------ | ------------------------------------------------------------ |
// | FP8              | E4M3 or E5M2                         | none, one, one a row, one a square block, one a group of a row |
// | INT8             | signed bytes                         | the same; with ConvRot the rows are rotated                  |
// | INT4 (ConvRot)   | signed halves of bytes, lower first  | one a row                                                    |
// | NVFP4 (ComfyUI)  | E2M1 halves of bytes, upper first    | one E4M3 for 16 values, in tiles; one for all                |
// | NVFP4 (ModelOpt) | the same, lower first                | one E4M3 for 16 values, row by row; one for all              |
// | MXFP8            | E4M3                                 | one power of two for 32 values, in tiles                     |
import type { TensorForm } from '../../weights/types.js';
import type { TensorView } from '../tensors.js';
import type { Note } from './notes.js';
import { damaged, otherForm } from './refusals.js';
import { blockTable, isFloat, isSingle, plainTable, type ScaleTable, tiledTable } from './tables.js';

/** What lies in a file for one module. */
export interface Module {
  name: string;
  matrix: TensorView;
  /** One scale, or a table of them. */
  scale?: { name: string; view: TensorView };
  /** NVFP4: the scale of all. */
  outer?: { name: string; view: TensorView };
  note?: Note;
}

/** The form of a matrix, and the scale that is still to be read: one number for all its values. */
export interface Form extends TensorForm {
  single?: { name: string; view: TensorView };
}

const floatFormats = new Map([
  ['float8_e4m3fn', 'f8_e4m3'],
  ['float8_e4m3fn_rowwise', 'f8_e4m3'],
  ['float8_e4m3fn_blockwise', 'f8_e4m3'],
  ['float8_e5m2', 'f8_e5m2'],
]);
const integerFormats = new Set(['int8_tensorwise', 'int8_rowwise', 'int8_blockwise']);
const nvfp4Block = 16;
const mxfp8Block = 32;

/** By the module's note; undefined where the note is of no use to its matrix, which isn't quantised. */
export function formByNote(module: Module, note: Note): Form | undefined {
  const { matrix } = module;
  if (!isEightBit(matrix)) return undefined;
  const floats = floatFormats.get(note.format);
  if (floats !== undefined)
    return scaled(module, { type: matrix.type.startsWith('f8_') ? matrix.type : floats });
  if (integerFormats.has(note.format) && isBytes(matrix)) {
    const { rotation } = note;
    const storage = rotation === undefined ? 'INT8' : 'INT8 (ConvRot)';
    return scaled(module, { type: 'int8', storage, ...(rotation !== undefined && { rotation }) });
  }
  if (note.format === 'convrot_w4a4' && isBytes(matrix))
    return scaled(unpacked(module), { type: 'int4', storage: 'INT4 (ConvRot)', rotation: note.rotation! });
  if (note.format === 'nvfp4' && isBytes(matrix)) return nvfp4(module, 'f4_e2m1_upper');
  if (note.format === 'mxfp8' && isTyped(matrix, 'f8_e4m3')) return mxfp8(module);
  throw otherForm(matrix, `${module.name}.weight`, `as ${note.format}`);
}

/** Of what has no note. `config`: what the config.json beside the file says of its quantisation. */
export function formByTensors(module: Module, config: () => string | undefined): Form | undefined {
  const { name, matrix, scale, outer } = module;
  const weight = `${name}.weight`;
  if (outer) {
    if (config() !== 'modelopt') throw otherForm(matrix, weight, "as NVFP4 that doesn't say in which layout");
    return nvfp4(module, 'f4_e2m1');
  }
  if (!scale) return undefined;
  if (/^(f8_e4m3|f8_e5m2)$/.test(matrix.type)) {
    const isMxfp8 = isTyped(scale.view, 'f8_e8m0') && !isSingle(scale.view) && !scale.name.endsWith('_inv');
    if (isMxfp8) throw otherForm(matrix, weight, "as MXFP8 that doesn't say in which layout");
    return scaled(module, { type: matrix.type });
  }
  if (!/^[ui]\d+$|^bool$/.test(matrix.type)) return undefined;
  if (matrix.type === 'i8' && /^(compressed-tensors|modelopt)$/.test(config() ?? ''))
    return scaled(module, { type: 'int8', storage: 'INT8' });
  const form = /8$/.test(matrix.type) ? 'as INT8, or as 4-bit values in bytes' : `in ${matrix.type}`;
  throw otherForm(matrix, weight, form);
}

/** GGUF's own NVFP4 blocks, with one more scale beside them for the whole matrix. */
export function ggufNvfp4({ type, shape }: TensorView, single: { name: string; view: TensorView }): Form {
  if (!isSingle(single.view) || !isFloat(single.view)) throw notOneNumber(single);
  return { type, shape, single };
}

/** One scale, or a table of them. */
function scaled(module: Module, form: Omit<TensorForm, 'shape'>): Form | undefined {
  const { name, matrix, scale, note } = module;
  const { shape } = matrix;
  if (!scale) {
    if (form.type.startsWith('f8_')) return { ...form, shape };
    throw lacksScale(module);
  }
  const { view } = scale;
  const isExponent = view.type === 'f8_e8m0';
  if (isSingle(view) && isFloat(view)) return { ...form, shape, single: scale };
  const table = isFloat(view) || isExponent ? plainTable(view, matrix, note?.groupSize) : undefined;
  if (!table) {
    throw damaged(
      view.path,
      scale.name,
      `${scale.name} is ${view.type} of the shape [${view.shape}]; one number, or one for every row or block of ` +
        `${name}.weight [${shape}] was expected`,
    );
  }
  return { ...form, shape, scales: table, ...(form.type.startsWith('f8_') && { storage: storageOf(table) }) };
}

function storageOf({ blockRows, columns }: ScaleTable): string {
  if (blockRows > 1) return 'FP8 with block scales';
  return columns === 1 ? 'FP8 with row scales' : 'FP8 with group scales';
}

function nvfp4(module: Module, type: string): Form {
  const { scale, outer } = module;
  if (!scale || !outer) throw lacksScale(module);
  if (!isSingle(outer.view) || !isFloat(outer.view)) throw notOneNumber(outer);
  if (!isTyped(scale.view, 'f8_e4m3'))
    throw damaged(scale.view.path, scale.name, `${scale.name} is ${scale.view.type}; F8_E4M3 was expected`);
  const { shape } = unpacked(module).matrix;
  const isTiled = type === 'f4_e2m1_upper';
  const makeTable = isTiled ? tiledTable : blockTable;
  const scales = makeTable(scale.name, scale.view, { shape }, nvfp4Block, 'f8_e4m3');
  return { type, shape, scales, single: outer, storage: isTiled ? 'NVFP4' : 'NVFP4 (ModelOpt)' };
}

function mxfp8(module: Module): Form {
  const { scale, matrix } = module;
  if (!scale) throw lacksScale(module);
  if (!isTyped(scale.view, 'f8_e8m0'))
    throw damaged(scale.view.path, scale.name, `${scale.name} is ${scale.view.type}; F8_E8M0 was expected`);
  const scales = tiledTable(scale.name, scale.view, matrix, mxfp8Block, 'f8_e8m0');
  return { type: 'f8_e4m3', shape: matrix.shape, scales, storage: 'MXFP8' };
}

/** Two values in a byte. */
function unpacked(module: Module): Module {
  const { shape } = module.matrix;
  const last = shape.at(-1) ?? 1;
  return { ...module, matrix: { ...module.matrix, shape: [...shape.slice(0, -1), 2 * last] } };
}

/** Of this type, or of bytes that only a note calls so. */
function isTyped(view: TensorView, type: string): boolean {
  return view.type === type || isBytes(view);
}

function isBytes({ type }: TensorView): boolean {
  return type === 'u8' || type === 'i8';
}

function isEightBit(view: TensorView): boolean {
  return isBytes(view) || /^f8_e[45]m[23]$/.test(view.type);
}

function lacksScale({ name, matrix }: Module): Error {
  return damaged(matrix.path, `${name}.weight`, `${name}.weight has no scale beside it`);
}

function notOneNumber({ name, view }: { name: string; view: TensorView }): Error {
  const found = `${name} is ${view.type} of the shape [${view.shape}]`;
  return damaged(view.path, name, `${found}; one number in F32, F16 or BF16 was expected`);
}
