// FP8 files as they are published: matrices of 8-bit floats, most with a number beside each that brings its values back
// to their size (ComfyUI, Black Forest Labs, diffusers), and marks for programs that compute in FP8.
import { ImageForgeError } from '../shared/errors.js';
import { countElements, invalid } from '../weights/check-tensors.js';
import { readBytes } from '../weights/read-bytes.js';
import { decodeValues } from '../weights/read-floats.js';
import { parseJson } from '../weights/read-json.js';
import type { WeightFile } from '../weights/types.js';
import { otherForm, refuseForm } from './foreign-quantisation.js';
import type { TensorView } from './tensors.js';

const scaleName = /\.(scale_weight|weight_scale)$/;
const noteName = /\.comfy_quant$/;
const markName = /(?:^|\.)scaled_fp8$/;
/** Scales of activations, for products in FP8. */
const inputName = /\.(scale_input|input_scale)$/;

/** What the notes of ComfyUI call the types of 8-bit floats. */
const noteFormats = new Map([
  ['float8_e4m3fn', 'f8_e4m3'],
  ['float8_e5m2', 'f8_e5m2'],
]);
const maxNoteBytes = 1 << 16;

/** Puts each scale on its matrix and takes out of the list what isn't a network's weight. */
export async function applyScales(
  tensors: Map<string, TensorView>,
  files: readonly Pick<WeightFile, 'path' | 'metadata'>[],
): Promise<void> {
  refuseForm(tensors);
  const marks = take(tensors, markName);
  const notes = await readNotes(take(tensors, noteName), files);
  for (const [module, format] of notes) noteFormat(tensors, module, format);
  const scales = take(tensors, scaleName);
  take(tensors, inputName);
  const values = await readScales(scales, tensors);
  for (const [module, scale] of values) {
    const name = `${module}.weight`;
    tensors.set(name, { ...tensors.get(name)!, scale });
  }
  requireScales(tensors, values, [...notes.keys()], [...marks.keys()]);
}

function take(tensors: Map<string, TensorView>, pattern: RegExp): Map<string, TensorView> {
  const taken = new Map([...tensors].filter(([name]) => pattern.test(name)));
  for (const name of taken.keys()) tensors.delete(name);
  return taken;
}

/** By module, the format that ComfyUI's notes give it: JSON in small tensors, or for all of them in the header. */
async function readNotes(
  notes: ReadonlyMap<string, TensorView>,
  files: readonly Pick<WeightFile, 'path' | 'metadata'>[],
): Promise<Map<string, string>> {
  const formats = new Map<string, string>();
  for (const { path, metadata } of files) {
    const text = metadata.get('_quantization_metadata');
    if (typeof text !== 'string') continue;
    const { layers } = parseJson(text, `${path}: _quantization_metadata`);
    for (const [module, note] of Object.entries(layers ?? {})) formats.set(module, formatOf(note));
  }
  for (const [name, { path, type, bytes }] of notes)
    if (type !== 'u8' || bytes > maxNoteBytes)
      throw invalid(path, `${name} is ${type} of ${bytes} bytes, where a short text was expected`);
  const texts = await readBytes([...notes.values()]);
  for (const [i, [name, { path }]] of [...notes].entries()) {
    const note = parseJson(texts[i]!.toString('utf8').replace(/\0+$/, ''), `${path}: ${name}`);
    formats.set(name.replace(noteName, ''), formatOf(note));
  }
  return formats;
}

function formatOf(note: unknown): string {
  return String((note as { format?: unknown } | null)?.format);
}

/** A matrix may be stored as plain bytes that only its note calls floats. */
function noteFormat(tensors: Map<string, TensorView>, module: string, format: string): void {
  const name = `${module}.weight`;
  const view = tensors.get(name);
  if (!view || !/^(f8_e[45]m[23]|[iu]8)$/.test(view.type)) return;
  const type = noteFormats.get(format);
  if (type === undefined) throw otherForm(view, name, `as ${format}`);
  if (view.type === 'u8' || view.type === 'i8') tensors.set(name, { ...view, type });
}

/** By module. */
async function readScales(
  scales: ReadonlyMap<string, TensorView>,
  tensors: ReadonlyMap<string, TensorView>,
): Promise<Map<string, number>> {
  const found: { module: string; name: string; scale: TensorView }[] = [];
  for (const [name, scale] of scales) {
    const module = name.replace(scaleName, '');
    const matrix = tensors.get(`${module}.weight`);
    if (!matrix) continue;
    refuseOddScale(name, scale, `${module}.weight`, matrix);
    found.push({ module, name, scale });
  }
  const bytes = await readBytes(found.map(({ scale }) => scale));
  return new Map(
    found.map(({ module, name, scale }, i) => {
      const [value] = decodeValues(scale, bytes[i]!);
      if (!Number.isFinite(value)) throw damaged(scale.path, name, `${name} is ${value}, which is no scale`);
      return [module, value!];
    }),
  );
}

function refuseOddScale(name: string, scale: TensorView, matrixName: string, matrix: TensorView): void {
  if (/^[ui]\d+$|^bool$/.test(matrix.type)) {
    const form = /8$/.test(matrix.type) ? 'as INT8, or as 4-bit values in bytes' : `in ${matrix.type}`;
    throw otherForm(matrix, matrixName, form);
  }
  const count = countElements(scale.shape);
  if (count === 1 && /^(f64|f32|f16|bf16)$/.test(scale.type)) return;
  const [rows = 1, columns = 1] = matrix.shape;
  const [down = 0, across = 1] = scale.shape;
  if (count === rows && down === rows)
    throw otherForm(scale, name, 'as FP8 with a scale for every row of a matrix');
  if (count !== 1 && scale.shape.length > 1 && down > 0 && down <= rows && across <= columns)
    throw otherForm(scale, name, 'as FP8 with a scale for every block of a matrix');
  const expected = 'one number in F32, F16 or BF16 was expected';
  throw damaged(scale.path, name, `${name} is ${scale.type} of the shape [${scale.shape}]; ${expected}`);
}

/** A matrix without its scale would be off by a factor of hundreds, and the picture noise. */
function requireScales(
  tensors: ReadonlyMap<string, TensorView>,
  scaled: ReadonlyMap<string, number>,
  noted: readonly string[],
  marks: readonly string[],
): void {
  const lacking = (module: string) =>
    !scaled.has(module) && /^f8_e[45]m[23]$/.test(tensors.get(`${module}.weight`)?.type ?? '');
  const kindOf = (module: string) => module.replace(/\d+/g, '#');
  const scaledKinds = new Set([...scaled.keys()].map(kindOf));
  const unscaledMarks = marks
    .map((name) => name.replace(/scaled_fp8$/, ''))
    .filter((prefix) => ![...scaled.keys()].some((module) => module.startsWith(prefix)));
  const modules = [...tensors]
    .filter(([name, { shape }]) => name.endsWith('.weight') && shape.length === 2)
    .map(([name]) => name.slice(0, -'.weight'.length));
  const missing =
    noted.find(lacking) ??
    modules.find((module) => lacking(module) && scaledKinds.has(kindOf(module))) ??
    modules.find((module) => lacking(module) && unscaledMarks.some((prefix) => module.startsWith(prefix)));
  if (missing === undefined) return;
  const { path } = tensors.get(`${missing}.weight`)!;
  throw damaged(
    path,
    `${missing}.weight`,
    `this is a scaled FP8 file, but ${missing}.weight has no scale beside it`,
  );
}

function damaged(path: string, tensor: string, what: string): ImageForgeError {
  return new ImageForgeError('WEIGHTS_INVALID', `${path}: ${what}`, {
    hint: 'The file is incomplete or damaged: download it again, or use another file of this model.',
    details: { file: path, tensor },
  });
}
