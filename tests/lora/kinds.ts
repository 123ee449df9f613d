// One update of every kind for a weight: the tensors as in files, and the correct merged weight.
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import {
  add,
  butterfly,
  combine,
  diagonal,
  kronecker,
  type Matrix,
  matrix,
  multiply,
  rotations,
  transpose,
  tucker,
  withLengths,
} from './algebra.js';

const { encode, randomTensor, decode } = fixtures;

export interface FileTensor {
  dtype: string;
  shape: number[];
  data: Buffer;
}

export interface Update {
  /** By the end of the key. */
  tensors: Record<string, FileTensor>;
  /** The merged weight at strength 1. */
  merged: Matrix;
}

/** A weight [rows, inputs, taps]; kernels are square. */
export interface Weight extends Matrix {
  inputs: number;
  taps: number;
}

export type MakeUpdate = (weight: Weight, seed: number) => Update;

const rank = 4;
const alpha = 2;

/** Random values as a tensor of this shape and as a matrix. */
function maker(seed: number) {
  let next = seed * 100;
  return (
    shape: number[],
    size = 0.3,
    offset = 0,
  ): { tensor: FileTensor; as: Matrix; values: Float32Array } => {
    const values: Float32Array = decode(randomTensor(next++, shape, size)).map((v: number) => v + offset);
    const [rows = 1, ...rest] = shape;
    const columns = rest.reduce((product, n) => product * n, 1);
    return { tensor: encode(values, shape, 'F32'), as: matrix(rows, columns, values), values };
  };
}

const number = (value: number, dtype = 'F32'): FileTensor =>
  dtype === 'I64'
    ? { dtype, shape: [], data: Buffer.from(BigInt64Array.of(BigInt(value)).buffer) }
    : dtype === 'F64'
      ? { dtype, shape: [], data: Buffer.from(Float64Array.of(value).buffer) }
      : encode([value], [], dtype);

/** The shape of a matrix or a kernel. */
const shapeOf = ({ inputs, taps }: Weight, rows: number): number[] =>
  taps > 1 ? [rows, inputs, Math.sqrt(taps), Math.sqrt(taps)] : [rows, inputs];
const kernelOf = ({ taps }: Weight): number[] => [Math.sqrt(taps), Math.sqrt(taps)];

const lora =
  (alphaType = 'F32'): MakeUpdate =>
  (weight, seed) => {
    const make = maker(seed);
    const up = make(weight.taps > 1 ? [weight.rows, rank, 1, 1] : [weight.rows, rank]);
    const down = make(shapeOf(weight, rank));
    return {
      tensors: {
        'lora_up.weight': up.tensor,
        'lora_down.weight': down.tensor,
        alpha: number(alpha, alphaType),
      },
      merged: add(weight, multiply(up.as, down.as), alpha / rank),
    };
  };

const locon: MakeUpdate = (weight, seed) => {
  const make = maker(seed);
  const up = make([weight.rows, rank, 1, 1]);
  const core = make([rank, rank, ...kernelOf(weight)]);
  const down = make([rank, weight.inputs, 1, 1]);
  return {
    tensors: {
      'lora_up.weight': up.tensor,
      'lora_mid.weight': core.tensor,
      'lora_down.weight': down.tensor,
      alpha: number(alpha),
    },
    merged: add(weight, tucker(up.as, core.as, down.as, weight.taps), alpha / rank),
  };
};

/** Uses the lengths of another random weight, so that they are as large as trained ones. */
function dora(make: MakeUpdate, axis: 'rows' | 'columns', ending = 'dora_scale', flat = false): MakeUpdate {
  return (weight, seed) => {
    const { tensors, merged } = make(weight, seed);
    const count = axis === 'rows' ? weight.rows : weight.inputs;
    const ones = weight.taps > 1 ? [1, 1] : [];
    const shape = flat ? [count] : axis === 'rows' ? [count, 1, ...ones] : [1, count, ...ones];
    const lengths = maker(seed + 50)(shape, 0.2, 1);
    return {
      tensors: { ...tensors, [ending]: lengths.tensor },
      merged: withLengths(merged, lengths.values, axis, weight.taps),
    };
  };
}

const peft: MakeUpdate = (weight, seed) => {
  const { tensors, merged } = lora()(weight, seed);
  return {
    tensors: {
      'lora_A.weight': tensors['lora_down.weight']!,
      'lora_B.weight': tensors['lora_up.weight']!,
      alpha: tensors.alpha!,
    },
    merged,
  };
};

const loha: MakeUpdate = (weight, seed) => {
  const make = maker(seed);
  const pair = () => [make([weight.rows, rank]), make([rank, weight.columns])] as const;
  const [[a1, b1], [a2, b2]] = [pair(), pair()];
  const product = combine(multiply(a1.as, b1.as), multiply(a2.as, b2.as), (x, y) => x * y);
  return {
    tensors: {
      hada_w1_a: a1.tensor,
      hada_w1_b: b1.tensor,
      hada_w2_a: a2.tensor,
      hada_w2_b: b2.tensor,
      alpha: number(alpha),
    },
    merged: add(weight, product, alpha / rank),
  };
};

const lohaTucker: MakeUpdate = (weight, seed) => {
  const make = maker(seed);
  const three = () => ({
    t: make([rank, rank, ...kernelOf(weight)], 0.6),
    a: make([rank, weight.rows], 0.6),
    b: make([rank, weight.inputs], 0.6),
  });
  const [first, second] = [three(), three()];
  const [one, two] = [first, second].map(({ t, a, b }) => tucker(transpose(a.as), t.as, b.as, weight.taps));
  return {
    tensors: {
      hada_t1: first.t.tensor,
      hada_w1_a: first.a.tensor,
      hada_w1_b: first.b.tensor,
      hada_t2: second.t.tensor,
      hada_w2_a: second.a.tensor,
      hada_w2_b: second.b.tensor,
      alpha: number(alpha),
    },
    merged: add(
      weight,
      combine(one!, two!, (x, y) => x * y),
      alpha / rank,
    ),
  };
};

const factor = 4;

const lokr =
  (first: 'whole' | 'factored', second: 'whole' | 'factored' | 'tucker'): MakeUpdate =>
  (weight, seed) => {
    const make = maker(seed);
    const tensors: Record<string, FileTensor> = { alpha: number(alpha) };
    const keep = (name: string, shape: number[]): Matrix => {
      const made = make(shape, 0.5);
      tensors[name] = made.tensor;
      return made.as;
    };
    const [rows, inputs] = [weight.rows / factor, weight.inputs / factor];
    const kernel = weight.taps > 1 ? kernelOf(weight) : [];
    const w1 =
      first === 'whole'
        ? keep('lokr_w1', [factor, factor])
        : multiply(keep('lokr_w1_a', [factor, rank]), keep('lokr_w1_b', [rank, factor]));
    const w2 =
      second === 'whole'
        ? keep('lokr_w2', [rows, inputs, ...kernel])
        : second === 'factored'
          ? multiply(keep('lokr_w2_a', [rows, rank]), keep('lokr_w2_b', [rank, inputs * weight.taps]))
          : tucker(
              transpose(keep('lokr_w2_a', [rank, rows])),
              keep('lokr_t2', [rank, rank, ...kernel]),
              keep('lokr_w2_b', [rank, inputs]),
              weight.taps,
            );
    const scale = first === 'whole' && second === 'whole' ? 1 : alpha / rank;
    return { tensors, merged: add(weight, kronecker(w1, w2), scale) };
  };

const glora =
  (order: 'today' | 'first'): MakeUpdate =>
  (weight, seed) => {
    const make = maker(seed);
    const [a1, a2] = [make([weight.inputs, rank]), make([rank, weight.inputs])];
    const [b1, b2] = [make([weight.rows, rank]), make(shapeOf(weight, rank))];
    const onTaps = (m: Matrix) => kronecker(m, matrix(weight.taps, weight.taps, unit(weight.taps)));
    const product = add(multiply(weight, onTaps(multiply(a1.as, a2.as))), multiply(b1.as, b2.as));
    const [first, second, third, fourth] = order === 'today' ? [a1, a2, b1, b2] : [a2, a1, b2, b1];
    return {
      tensors: {
        'a1.weight': first!.tensor,
        'a2.weight': second!.tensor,
        'b1.weight': third!.tensor,
        'b2.weight': fourth!.tensor,
        alpha: number(alpha),
      },
      merged: add(weight, product, alpha / rank),
    };
  };

const unit = (size: number) => Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));

const oft =
  ({ ending = 'oft_blocks', limit = 0, rescaled = false }): MakeUpdate =>
  (weight, seed) => {
    const make = maker(seed);
    const [count, size] = [weight.rows / 8, 8];
    const blocks = make([count, size, size], 0.4);
    const rescale = make([weight.rows, ...(weight.taps > 1 ? [1, 1, 1] : [1])], 0.2, 1);
    const [layer] = rotations(blocks.values, [1, count, size], limit * weight.rows);
    const turned = multiply(transpose(diagonal(layer!)), weight);
    const factors = rescaled ? diagonal(Array.from(rescale.values, (v) => matrix(1, 1, [v]))) : undefined;
    return {
      tensors: {
        [ending]: blocks.tensor,
        alpha: number(limit),
        ...(rescaled && { rescale: rescale.tensor }),
      },
      merged: factors ? multiply(factors, turned) : turned,
    };
  };

const boft: MakeUpdate = (weight, seed) => {
  const [layers, size] = [3, 4];
  const count = weight.rows / size;
  const blocks = maker(seed)([layers, count, size, size], 0.4);
  let turned: Matrix = weight;
  for (const [i, layer] of rotations(blocks.values, [layers, count, size]).entries()) {
    const order = butterfly(weight.rows, (size / 2) * 2 ** i);
    turned = multiply(transpose(order), multiply(diagonal(layer), multiply(order, turned)));
  }
  return { tensors: { oft_blocks: blocks.tensor, alpha: number(0) }, merged: turned };
};

const ia3 =
  (axis: 'rows' | 'columns'): MakeUpdate =>
  (weight, seed) => {
    const count = axis === 'rows' ? weight.rows : weight.inputs;
    const vector = maker(seed)(weight.taps > 1 ? [1, count, 1, 1] : [count]);
    const place = (r: number, c: number) => (axis === 'rows' ? r : Math.floor(c / weight.taps));
    const scaled = matrix(
      weight.rows,
      weight.columns,
      weight.values.map((v, i) => {
        const [r, c] = [Math.floor(i / weight.columns), i % weight.columns];
        return v * (1 + vector.values[place(r, c)]!);
      }),
    );
    return {
      tensors: { weight: vector.tensor, on_input: number(axis === 'columns' ? 1 : 0, 'I64') },
      merged: scaled,
    };
  };

const difference: MakeUpdate = (weight, seed) => {
  const made = maker(seed)(shapeOf(weight, weight.rows));
  return { tensors: { diff: made.tensor }, merged: add(weight, made.as) };
};

const replaced: MakeUpdate = (weight, seed) => {
  const made = maker(seed)(shapeOf(weight, weight.rows));
  return { tensors: { set_weight: made.tensor }, merged: made.as };
};

/** For matrices and kernels. */
export const kinds: Record<string, MakeUpdate> = {
  LoRA: lora(),
  'LoRA with an alpha in F64': lora('F64'),
  'LoRA with an alpha in I64': lora('I64'),
  'LoRA with an alpha in BF16': lora('BF16'),
  'DoRA along columns': dora(lora(), 'columns'),
  'DoRA along rows': dora(lora(), 'rows'),
  "PEFT's DoRA": dora(peft, 'rows', 'lora_magnitude_vector.weight', true),
  LoHa: loha,
  'LoHa with DoRA': dora(loha, 'columns'),
  'LoKr of whole factors': lokr('whole', 'whole'),
  'LoKr with a factored second': lokr('whole', 'factored'),
  'LoKr of factored factors': lokr('factored', 'factored'),
  'LoKr with DoRA': dora(lokr('whole', 'factored'), 'rows'),
  GLoRA: glora('today'),
  'GLoRA in its first order': glora('first'),
  OFT: oft({}),
  'OFT with a limit': oft({ ending: 'oft_diag', limit: 0.02 }),
  'OFT with a limit and a scale': oft({ limit: 0.02, rescaled: true }),
  BOFT: boft,
  'IA3 of outputs': ia3('rows'),
  'IA3 of inputs': ia3('columns'),
  'full difference': difference,
  'new weight': replaced,
};

/** For kernels only. */
export const kernelKinds: Record<string, MakeUpdate> = {
  'LoCon with a core': locon,
  'LoHa with cores': lohaTucker,
  'LoKr with a core': lokr('whole', 'tucker'),
};
