// Files whose matrices are quantised by other means than GGUF's types: FP8, INT8, NVFP4 and MXFP8 as ComfyUI, Black Forest
// Labs, NVIDIA and others publish them, with scales in tensors beside the matrices and notes for programs.
import { dirname, join } from 'node:path';
import { readBytes } from '../../weights/read-bytes.js';
import { decodeValues } from '../../weights/read-floats.js';
import { readJson } from '../../weights/read-json.js';
import type { WeightFile } from '../../weights/types.js';
import type { TensorView } from '../tensors.js';
import { type Form, formByNote, formByTensors, ggufNvfp4, type Module } from './forms.js';
import { type Note, noteName, readNotes } from './notes.js';
import { damaged, refuseForms } from './refusals.js';

const scaleName = /\.(scale_weight|weight_scale|weight_scale_inv)$/;
const outerName = /\.weight_scale_2$/;
const markName = /(?:^|\.)scaled_fp8$/;
/** Scales of activations, for products in FP8 and FP4. */
const inputName = /\.(scale_input|input_scale)$/;
/** GGUF's NVFP4 blocks have one more scale for the whole matrix. */
const ggufScaleName = /\.scale$/;

/** Gives each quantised matrix its form and scales, and takes out of the list what isn't a weight of a network. */
export async function readForms(
  tensors: Map<string, TensorView>,
  files: readonly Pick<WeightFile, 'path' | 'metadata'>[],
): Promise<void> {
  refuseForms(tensors);
  const marks = take(tensors, markName);
  const notes = await readNotes(take(tensors, noteName), files);
  const forms = findForms(tensors, notes, () => readMethod(files[0]!.path));
  take(tensors, inputName);
  const scaled = await readSingles(forms);
  for (const [module, form] of scaled) {
    const name = `${module}.weight`;
    tensors.set(name, { ...tensors.get(name)!, ...form });
  }
  requireScales(tensors, scaled, [...notes.keys()], [...marks.keys()]);
}

function take(tensors: Map<string, TensorView>, pattern: RegExp): Map<string, TensorView> {
  const taken = new Map([...tensors].filter(([name]) => pattern.test(name)));
  for (const name of taken.keys()) tensors.delete(name);
  return taken;
}

/** By module; takes the scales out of the list. */
function findForms(
  tensors: Map<string, TensorView>,
  notes: ReadonlyMap<string, Note>,
  config: () => string | undefined,
): Map<string, Form> {
  const modules = new Map<string, Module>();
  const moduleOf = (name: string) => {
    const matrix = tensors.get(`${name}.weight`);
    const module = modules.get(name) ?? (matrix && { name, matrix });
    if (module) modules.set(name, module);
    return module;
  };
  for (const [name, view] of take(tensors, scaleName)) {
    const module = moduleOf(name.replace(scaleName, ''));
    if (module) module.scale = { name, view };
  }
  for (const [name, view] of take(tensors, outerName)) {
    const module = moduleOf(name.replace(outerName, ''));
    if (module) module.outer = { name, view };
  }
  for (const [name, note] of notes) {
    const module = moduleOf(name);
    if (module) module.note = note;
  }
  const forms = new Map<string, Form>();
  for (const [name, module] of modules) {
    const form = module.note ? formByNote(module, module.note) : formByTensors(module, config);
    if (form) forms.set(name, form);
  }
  for (const [name, view] of findGgufScales(tensors)) {
    forms.set(name, ggufNvfp4(tensors.get(`${name}.weight`)!, { name: `${name}.scale`, view }));
  }
  return forms;
}

function findGgufScales(tensors: Map<string, TensorView>): Map<string, TensorView> {
  const found = new Map<string, TensorView>();
  for (const [name, view] of tensors) {
    const module = name.replace(ggufScaleName, '');
    if (module !== name && tensors.get(`${module}.weight`)?.type === 'nvfp4') found.set(module, view);
  }
  for (const module of found.keys()) tensors.delete(`${module}.scale`);
  return found;
}

/** What the config.json beside a file calls its way of quantising. */
function readMethod(path: string): string | undefined {
  const config = readJson(join(dirname(path), 'config.json'));
  const quantisation = config?.quantization_config as { quant_method?: unknown } | undefined;
  return typeof quantisation?.quant_method === 'string' ? quantisation.quant_method : undefined;
}

/** Reads the scales that are one number. */
async function readSingles(forms: ReadonlyMap<string, Form>): Promise<Map<string, Omit<Form, 'single'>>> {
  const singles = [...forms.values()].flatMap(({ single }) => (single ? [single] : []));
  const bytes = await readBytes(singles.map(({ view }) => view));
  const scales = new Map(
    singles.map(({ name, view }, i) => {
      const [value] = decodeValues(view, bytes[i]!);
      if (!Number.isFinite(value)) throw damaged(view.path, name, `${name} is ${value}, which is no scale`);
      return [name, value!];
    }),
  );
  return new Map(
    [...forms].map(([module, { single, ...form }]) => [
      module,
      single ? { ...form, scale: scales.get(single.name)! } : form,
    ]),
  );
}

/** A matrix without its scale would be off by a factor of hundreds, and the picture noise. */
function requireScales(
  tensors: ReadonlyMap<string, TensorView>,
  forms: ReadonlyMap<string, Omit<Form, 'single'>>,
  noted: readonly string[],
  marks: readonly string[],
): void {
  const scaled = [...forms]
    .filter(([, { scale, scales }]) => scale !== undefined || scales)
    .map(([name]) => name);
  const isScaled = new Set(scaled);
  const lacking = (module: string) =>
    !isScaled.has(module) && /^f8_e[45]m[23]$/.test(tensors.get(`${module}.weight`)?.type ?? '');
  const kindOf = (module: string) => module.replace(/\d+/g, '#');
  const scaledKinds = new Set(scaled.map(kindOf));
  const unscaledMarks = marks
    .map((name) => name.replace(/scaled_fp8$/, ''))
    .filter((prefix) => !scaled.some((module) => module.startsWith(prefix)));
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
