// What ComfyUI's files say of each matrix: JSON in a tensor of bytes beside it, or for all of them in the file's metadata.
import { invalid } from '../../weights/check-tensors.js';
import { readBytes } from '../../weights/read-bytes.js';
import { parseJson } from '../../weights/read-json.js';
import type { WeightFile } from '../../weights/types.js';
import type { TensorView } from '../tensors.js';

export interface Note {
  /** 'float8_e4m3fn', 'nvfp4', … */
  format: string;
  /** Values that a scale is for, where the format leaves that open. */
  groupSize?: number;
  /** ConvRot: values of a row that are rotated together. */
  rotation?: number;
}

export const noteName = /\.comfy_quant$/;
const maxNoteBytes = 1 << 16;
const defaultRotation = 256;

/** By module. `notes` are the tensors beside the matrices. */
export async function readNotes(
  notes: ReadonlyMap<string, TensorView>,
  files: readonly Pick<WeightFile, 'path' | 'metadata'>[],
): Promise<Map<string, Note>> {
  const found = new Map<string, Note>();
  for (const { path, metadata } of files) {
    const text = metadata.get('_quantization_metadata');
    if (typeof text !== 'string') continue;
    const where = `${path}: _quantization_metadata`;
    const { layers } = parseJson(text, where);
    for (const [module, note] of Object.entries(layers ?? {})) found.set(module, toNote(note, where));
  }
  for (const [name, { path, type, bytes }] of notes)
    if (!/^[ui]8$/.test(type) || bytes > maxNoteBytes)
      throw invalid(path, `${name} is ${type} of ${bytes} bytes, where a short text was expected`);
  const texts = await readBytes([...notes.values()]);
  for (const [i, [name, { path }]] of [...notes].entries()) {
    const where = `${path}: ${name}`;
    const note = parseJson(texts[i]!.toString('utf8').replace(/\0+$/, ''), where);
    found.set(name.replace(noteName, ''), toNote(note, where));
  }
  return found;
}

function toNote(value: unknown, where: string): Note {
  const fields = isObject(value) ? value : {};
  // older files keep all but the format one level deeper
  const parameters = { ...(isObject(fields.params) && fields.params), ...fields };
  const format = String(fields.format);
  const groupSize = readSize(parameters.group_size, `${where}: group_size`);
  const group = readSize(parameters.convrot_groupsize, `${where}: convrot_groupsize`);
  const isRotated = parameters.convrot === true || format === 'convrot_w4a4';
  return {
    format,
    ...(groupSize !== undefined && { groupSize }),
    ...(isRotated && { rotation: group ?? defaultRotation }),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readSize(value: unknown, what: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 1 << 16) return value;
  throw invalid(what, `a whole number above 0 was expected, ${JSON.stringify(value)} was found`);
}
