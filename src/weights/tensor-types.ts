// The element types of weight files: names as ggml has them (lower case), block sizes, and the numbers and words that GGUF
// and safetensors use for them.
//
// Two types that bytes get from what lies beside them: 'int8' and 'int4' are signed integers that a scale turns into
// weights ('i8' are integers that stand for themselves). 'f4_e2m1' has the first of two values in the lower half of a byte,
// 'f4_e2m1_upper' in the upper half.

export interface TensorType {
  /** Elements of a block. A row is a whole number of blocks, unless the tensor is flat (TensorInfo.skip). */
  readonly block: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

export const tensorTypes: ReadonlyMap<string, TensorType> = new Map(
  Object.entries({
    f64: [1, 8],
    f32: [1, 4],
    f16: [1, 2],
    bf16: [1, 2],
    f8_e4m3: [1, 1],
    f8_e5m2: [1, 1],
    f8_e8m0: [1, 1],
    f8_e4m3fnuz: [1, 1],
    f8_e5m2fnuz: [1, 1],
    f6_e2m3: [4, 3],
    f6_e3m2: [4, 3],
    f4_e2m1: [2, 1],
    f4_e2m1_upper: [2, 1],
    int8: [1, 1],
    int4: [2, 1],
    c64: [1, 8],
    i64: [1, 8],
    i32: [1, 4],
    i16: [1, 2],
    i8: [1, 1],
    u64: [1, 8],
    u32: [1, 4],
    u16: [1, 2],
    u8: [1, 1],
    bool: [1, 1],
    q1_0: [128, 18],
    q2_0: [64, 18],
    q4_0: [32, 18],
    q4_1: [32, 20],
    q5_0: [32, 22],
    q5_1: [32, 24],
    q8_0: [32, 34],
    q8_1: [32, 36],
    q2_k: [256, 84],
    q3_k: [256, 110],
    q4_k: [256, 144],
    q5_k: [256, 176],
    q6_k: [256, 210],
    q8_k: [256, 292],
    iq1_s: [256, 50],
    iq1_m: [256, 56],
    iq2_xxs: [256, 66],
    iq2_xs: [256, 74],
    iq2_s: [256, 82],
    iq3_xxs: [256, 98],
    iq3_s: [256, 110],
    iq4_nl: [32, 18],
    iq4_xs: [256, 136],
    tq1_0: [256, 54],
    tq2_0: [256, 66],
    mxfp4: [32, 17],
    nvfp4: [64, 36],
  }).map(([name, [block, bytes]]) => [name, { block: block!, bytes: bytes! }]),
);

/** How many elements a block has; 1 where the type isn't quantised. */
export function blockOf(type: string): number {
  return tensorTypes.get(type)!.block;
}

/** By the number that GGUF stores (enum ggml_type). */
export const ggmlTypeNames: ReadonlyMap<number, string> = new Map([
  [0, 'f32'],
  [1, 'f16'],
  [2, 'q4_0'],
  [3, 'q4_1'],
  [6, 'q5_0'],
  [7, 'q5_1'],
  [8, 'q8_0'],
  [9, 'q8_1'],
  [10, 'q2_k'],
  [11, 'q3_k'],
  [12, 'q4_k'],
  [13, 'q5_k'],
  [14, 'q6_k'],
  [15, 'q8_k'],
  [16, 'iq2_xxs'],
  [17, 'iq2_xs'],
  [18, 'iq3_xxs'],
  [19, 'iq1_s'],
  [20, 'iq4_nl'],
  [21, 'iq3_s'],
  [22, 'iq2_s'],
  [23, 'iq4_xs'],
  [24, 'i8'],
  [25, 'i16'],
  [26, 'i32'],
  [27, 'i64'],
  [28, 'f64'],
  [29, 'iq1_m'],
  [30, 'bf16'],
  [34, 'tq1_0'],
  [35, 'tq2_0'],
  [39, 'mxfp4'],
  [40, 'nvfp4'],
  [41, 'q1_0'],
  [42, 'q2_0'],
]);

/** Numbers of GGUF types that ggml once had and dropped. */
export const removedGgmlTypes: ReadonlySet<number> = new Set([4, 5, 31, 32, 33, 36, 37, 38]);

/** By safetensors' dtype. */
export const safetensorsTypeNames: ReadonlyMap<string, string> = new Map([
  ['F64', 'f64'],
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['F8_E4M3', 'f8_e4m3'],
  ['F8_E5M2', 'f8_e5m2'],
  ['F8_E8M0', 'f8_e8m0'],
  ['F8_E4M3FNUZ', 'f8_e4m3fnuz'],
  ['F8_E5M2FNUZ', 'f8_e5m2fnuz'],
  ['F6_E2M3', 'f6_e2m3'],
  ['F6_E3M2', 'f6_e3m2'],
  ['F4', 'f4_e2m1'],
  ['C64', 'c64'],
  ['I64', 'i64'],
  ['I32', 'i32'],
  ['I16', 'i16'],
  ['I8', 'i8'],
  ['U64', 'u64'],
  ['U32', 'u32'],
  ['U16', 'u16'],
  ['U8', 'u8'],
  ['BOOL', 'bool'],
]);

/** Bytes of `elements` values in rows of `row`; undefined when a row isn't a whole number of blocks. */
export function sizeInBytes(type: TensorType, elements: number, row: number): number | undefined {
  if (row % type.block !== 0) return undefined;
  return (elements / type.block) * type.bytes;
}

/** What becomes of a type when it is loaded: widened once (to F16, but F64 to F32), or used as it lies in the file. */
export type Handling = 'in place' | 'widened' | 'refused';

const inPlace: ReadonlySet<string> = new Set(
  (
    'f32 f16 bf16 q1_0 q2_0 q4_0 q4_1 q5_0 q5_1 q8_0 q2_k q3_k q4_k q5_k q6_k iq1_s iq1_m iq2_xxs iq2_xs iq2_s ' +
    'iq3_xxs iq3_s iq4_nl iq4_xs tq1_0 tq2_0 mxfp4 nvfp4'
  ).split(' '),
);
const widened: ReadonlySet<string> = new Set([
  'f64',
  'f8_e4m3',
  'f8_e5m2',
  'f4_e2m1',
  'f4_e2m1_upper',
  'int8',
  'int4',
]);

/** Of the weights of layers. All others, integers and marks among them, are refused where a layer needs weights. */
export function handlingOf(type: string): Handling {
  if (inPlace.has(type)) return 'in place';
  return widened.has(type) ? 'widened' : 'refused';
}
