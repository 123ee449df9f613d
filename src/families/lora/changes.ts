// What a module's tensors do to its weight: a low-rank update, or one of the kinds that need the weight itself.
import type { WeightChange } from '../../native/addon.js';
import type { LoraModule, LoraPart, LoraTensor } from './keys.js';

/** A change of a module's weight or bias, before it is known which tensor that is. */
export interface ModuleChange {
  to: 'weight' | 'bias';
  /** For people: "LoHa". */
  name: string;
  kind: WeightChange['kind'];
  /** By the part that the addon knows them as. */
  factors: Record<string, LoraTensor>;
  /** What alpha is divided by; absent where alpha doesn't scale the change. */
  rank?: number;
  /** A low-rank update that can run beside its weight. */
  lowRank?: true;
  /** Alpha limits how far weights turn instead of scaling. */
  turns?: true;
  magnitude?: { tensor: LoraTensor; axis: 'rows' | 'columns' };
  axis?: 'rows' | 'columns';
}

/** Of the module's weight, as the LoRA's maker saw it. */
export interface ModuleShape {
  rows: number;
  inputs: number;
  taps: number;
}

/**
 * The changes that a module's parts make up, and the parts that are left over. Only IA3 must read a value: along which
 * axis it scales.
 */
export function readChanges(
  module: LoraModule,
  shape: ModuleShape,
  scalesInputs: boolean,
): { changes: ModuleChange[]; left: LoraTensor[] } {
  const parts = new Map(module);
  for (const setting of ['alpha', 'scalar', 'on_input'] as const) parts.delete(setting);
  const changes: ModuleChange[] = [];
  for (const read of [readLora, readLoha, readLokr, readGlora, readOft, readDifference, readValue]) {
    const change = read(parts, shape);
    if (change) changes.push(change);
  }
  const scaling = take(parts, ['ia3'], []);
  if (scaling) {
    const axis = scalesInputs ? 'columns' : 'rows';
    changes.push({ to: 'weight', name: 'IA3', kind: 'scaling', factors: { a: scaling.ia3! }, axis });
  }
  addMagnitude(parts, changes, shape);
  changes.push(...readBiases(parts, changes));
  return { changes, left: [...parts.values()] };
}

/** Takes the parts out of the module; nothing where one that is needed isn't there. */
function take<Part extends LoraPart>(
  parts: LoraModule,
  needed: Part[],
  optional: Part[],
): Partial<Record<Part, LoraTensor>> | undefined {
  if (!needed.every((part) => parts.has(part))) return undefined;
  const taken: Partial<Record<Part, LoraTensor>> = {};
  for (const part of [...needed, ...optional]) {
    const tensor = parts.get(part);
    if (tensor) taken[part] = tensor;
    parts.delete(part);
  }
  return taken;
}

function named(factors: Record<string, LoraTensor | undefined>): Record<string, LoraTensor> {
  return Object.fromEntries(Object.entries(factors).filter(([, tensor]) => tensor)) as Record<
    string,
    LoraTensor
  >;
}

function readLora(parts: LoraModule): ModuleChange | undefined {
  const found = take(parts, ['up', 'down'], ['mid']);
  if (!found) return undefined;
  return {
    to: 'weight',
    kind: 'product',
    name: found.mid ? 'LoCon with a Tucker core' : 'LoRA',
    factors: named({ a: found.up, b: found.down, core: found.mid }),
    rank: found.down!.view.shape[0] ?? 1,
    ...(!found.mid && { lowRank: true }),
  };
}

function readLoha(parts: LoraModule): ModuleChange | undefined {
  const found = take(parts, ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b'], ['hada_t1', 'hada_t2']);
  if (!found) return undefined;
  return {
    to: 'weight',
    name: 'LoHa',
    kind: 'hadamard',
    factors: {
      ...product('1', found.hada_w1_a, found.hada_w1_b, found.hada_t1),
      ...product('2', found.hada_w2_a, found.hada_w2_b, found.hada_t2),
    },
    rank: found.hada_w1_b!.view.shape[0] ?? 1,
  };
}

/** Beside a Tucker core the first factor lies transposed: [rank, rows]. */
function product(
  which: '1' | '2',
  a?: LoraTensor,
  b?: LoraTensor,
  core?: LoraTensor,
): Record<string, LoraTensor> {
  return named({ [core ? `at${which}` : `a${which}`]: a, [`b${which}`]: b, [`core${which}`]: core });
}

function readLokr(parts: LoraModule): ModuleChange | undefined {
  const has = (part: LoraPart) => parts.has(part);
  const first = has('lokr_w1') || (has('lokr_w1_a') && has('lokr_w1_b'));
  const second = has('lokr_w2') || (has('lokr_w2_a') && has('lokr_w2_b'));
  if (!first || !second) return undefined;
  const w1 = take(parts, ['lokr_w1'], []) ?? take(parts, ['lokr_w1_a', 'lokr_w1_b'], [])!;
  const w2 = take(parts, ['lokr_w2'], []) ?? take(parts, ['lokr_w2_a', 'lokr_w2_b'], ['lokr_t2'])!;
  const found: Partial<Record<LoraPart, LoraTensor>> = { ...w1, ...w2 };
  const factored = found.lokr_w2_b ?? found.lokr_w1_b;
  return {
    to: 'weight',
    name: 'LoKr',
    kind: 'kronecker',
    factors: {
      ...product('1', found.lokr_w1 ?? found.lokr_w1_a, found.lokr_w1_b),
      ...product('2', found.lokr_w2 ?? found.lokr_w2_a, found.lokr_w2_b, found.lokr_t2),
    },
    // two whole factors have no rank, and alpha says nothing
    ...(factored && { rank: factored.view.shape[0] ?? 1 }),
  };
}

/** LyCORIS first wrote the factors in the other order: a2 a1 and b2 b1. */
function readGlora(parts: LoraModule, shape: ModuleShape): ModuleChange | undefined {
  const found = take(parts, ['glora_a1', 'glora_a2', 'glora_b1', 'glora_b2'], ['glora_bm']);
  if (!found) return undefined;
  const { glora_a1: a1, glora_a2: a2, glora_b1: b1, glora_b2: b2, glora_bm: core } = found;
  const today = b1!.view.shape[0] === shape.rows && b1!.view.shape[1] === b2!.view.shape[0];
  return {
    to: 'weight',
    name: 'GLoRA',
    kind: 'generalised',
    factors: today ? named({ a1, a2, b1, b2, core }) : named({ a1: a2, a2: a1, b1: b2, b2: b1, core }),
    rank: (today ? a2 : a1)!.view.shape[0] ?? 1,
  };
}

function readOft(parts: LoraModule): ModuleChange | undefined {
  const found = take(parts, ['oft_blocks'], ['rescale']);
  if (!found) return undefined;
  return {
    to: 'weight',
    kind: 'rotation',
    turns: true,
    name: found.oft_blocks!.view.shape.length === 4 ? 'BOFT' : 'OFT',
    factors: named({ blocks: found.oft_blocks, rescale: found.rescale }),
  };
}

function readDifference(parts: LoraModule): ModuleChange | undefined {
  const found = take(parts, ['diff'], []);
  return found && { to: 'weight', name: 'difference', kind: 'product', factors: { a: found.diff! } };
}

function readValue(parts: LoraModule): ModuleChange | undefined {
  const found = take(parts, ['value'], []);
  return found && { to: 'weight', name: 'new weight', kind: 'value', factors: { a: found.value! } };
}

function readBiases(parts: LoraModule, changes: ModuleChange[]): ModuleChange[] {
  const difference = take(parts, ['diff_bias'], [])?.diff_bias;
  const value = take(parts, ['value_bias'], [])?.value_bias;
  const lora = changes.find(({ name }) => name === 'LoRA');
  const up = lora && take(parts, ['up_bias'], [])?.up_bias;
  const found: ModuleChange[] = [];
  if (difference) found.push({ to: 'bias', name: 'difference', kind: 'product', factors: { a: difference } });
  if (value) found.push({ to: 'bias', name: 'new bias', kind: 'value', factors: { a: value } });
  // PEFT trains a bias of the second factor, which is scaled with it
  if (up) found.push({ to: 'bias', name: 'LoRA', kind: 'product', factors: { a: up }, rank: lora.rank! });
  return found;
}

/**
 * DoRA: the changed weight's rows or columns get trained lengths. kohya's and LyCORIS' vector is [1, inputs] for columns
 * or [rows, 1] for rows, PEFT's always has a value a row.
 */
function addMagnitude(parts: LoraModule, changes: ModuleChange[], { rows }: ModuleShape): void {
  const change = changes.find(({ to }) => to === 'weight');
  if (!change || change.kind === 'value') return;
  const found =
    take(parts, ['magnitude_vector'], [])?.magnitude_vector ?? take(parts, ['dora_scale'], [])?.dora_scale;
  if (!found) return;
  const byRows = found.key.includes('lora_magnitude_vector') || found.view.shape[0] === rows;
  change.magnitude = { tensor: found, axis: byRows ? 'rows' : 'columns' };
  delete change.lowRank;
}
