// Whether a change has the size of the weight that its name stands for. What doesn't fit was made for another model.
import { ImageForgeError } from '../../shared/errors.js';
import { handlingOf } from '../../weights/tensor-types.js';
import type { ModelPlan } from '../types.js';
import type { ModuleChange, ModuleShape } from './changes.js';
import type { LoraTensor } from './keys.js';
import type { LoraTarget } from './target.js';

type Shapes = Map<LoraTarget['network'], Map<string, number[]>>;

/** Shapes of whole tensors, parts of one put together. */
export function listShapes(plan: ModelPlan): Shapes {
  const networks = [['denoiser', plan.denoiser] as const, ...plan.textEncoders.entries()];
  return new Map(
    networks.map(([network, { weights }]) => {
      const shapes = new Map<string, number[]>();
      for (const { name, shape } of weights.tensors) {
        const [rows = 1, ...rest] = shape;
        shapes.set(name, [rows + (shapes.get(name)?.[0] ?? 0), ...rest]);
      }
      return [network, shapes];
    }),
  );
}

/** Of the weight as the LoRA's maker saw it: its own rows, not transposed. */
export function moduleShape({ rows: own, transposed }: LoraTarget, shape: number[]): ModuleShape {
  const [rows = 1, inputs = 1, ...kernel] = shape;
  const taps = count(kernel);
  return transposed ? { rows: inputs, inputs: rows, taps } : { rows: own ?? rows, inputs, taps };
}

/** @throws ImageForgeError WEIGHTS_INVALID that names the module, the tensors' shapes and the weight's. */
export function checkFit(
  path: string,
  module: string,
  { kind, name, factors, magnitude }: ModuleChange,
  weight: { name: string; shape: ModuleShape },
): void {
  const { rows, inputs, taps } = weight.shape;
  const lengths = magnitude && count(magnitude.tensor.view.shape);
  const fitsLengths = lengths === undefined || lengths === (magnitude?.axis === 'rows' ? rows : inputs);
  if (fitsLengths && fits(kind, factors, weight.shape)) return;
  const tensors = [...Object.values(factors), ...(magnitude ? [magnitude.tensor] : [])];
  const found = tensors.map(({ view }) => `[${view.shape}]`);
  const expected = taps > 1 ? [rows, inputs, taps] : inputs > 1 ? [rows, inputs] : [rows];
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${path}: ${module} has the factors ${found.join(' and ')} (${name}), which don't fit ${weight.name} [${expected}]: the file was made for another model, or is damaged`,
    {
      hint: 'Use a LoRA that was trained on this kind of model; `imageforge models inspect FILE` tells what one is for.',
      details: { file: path, tensor: module, factors: found, expected },
    },
  );
}

/** @throws ImageForgeError where a factor is of a type that weights don't have, or has no values at all. */
export function checkFactors(path: string, { name, factors, magnitude }: ModuleChange): void {
  for (const { key, view } of [...Object.values(factors), ...(magnitude ? [magnitude.tensor] : [])]) {
    const details = { file: path, tensor: key };
    if (handlingOf(view.type) === 'refused')
      throw new ImageForgeError(
        'UNSUPPORTED',
        `${path}: ${key} (${name}) has the type ${view.type}; F64, F32, F16, BF16 or FP8 was expected`,
        { hint: 'Get the file in one of these types.', details },
      );
    if (count(view.shape) === 0)
      throw new ImageForgeError(
        'WEIGHTS_INVALID',
        `${path}: ${key} (${name}) has the shape [${view.shape}], so no values`,
        { hint: 'The file is damaged, or a module was trained with a rank of 0.', details },
      );
  }
}

function fits(kind: ModuleChange['kind'], factors: ModuleChange['factors'], shape: ModuleShape): boolean {
  const { rows, inputs, taps } = shape;
  const columns = inputs * taps;
  const is = (size: Size | undefined, expectedRows: number, expectedColumns: number) =>
    size !== undefined && size.rows === expectedRows && size.columns === expectedColumns;
  switch (kind) {
    case 'product':
    case 'value':
      return is(productSize(factors, ''), rows, columns);
    case 'hadamard':
      return is(productSize(factors, '1'), rows, columns) && is(productSize(factors, '2'), rows, columns);
    case 'kronecker': {
      const [first, second] = [productSize(factors, '1'), productSize(factors, '2')];
      return (
        !!first && !!second && first.rows * second.rows === rows && first.columns * second.columns === columns
      );
    }
    case 'generalised': {
      const { a1, a2, b1: a, b2: b, core } = factors;
      const added = productSize({ ...(a && { a }), ...(b && { b }), ...(core && { core }) }, '');
      return is(productSize({ a: a1!, b: a2! }, ''), inputs, inputs) && is(added, rows, columns);
    }
    case 'rotation': {
      const [size = 0, other = 0] = factors.blocks!.view.shape.slice(-2);
      const blocks = factors.blocks!.view.shape.at(-3) ?? 0;
      return size === other && size * blocks === rows;
    }
    case 'scaling':
      return [rows, inputs].includes(count(factors.a!.view.shape));
  }
}

interface Size {
  rows: number;
  columns: number;
}

/** Of a b, at^T b, or a core between them; undefined where the factors don't fit each other. */
function productSize(factors: Record<string, LoraTensor>, which: '' | '1' | '2'): Size | undefined {
  const a = sizeOf(factors[`a${which}`]);
  const transposed = sizeOf(factors[`at${which}`]);
  const left = a ?? (transposed && { rows: transposed.columns, columns: transposed.rows });
  const b = sizeOf(factors[`b${which}`]);
  if (!left || !b) return left;
  const core = factors[`core${which}`]?.view.shape;
  if (!core) return left.columns === b.rows ? { rows: left.rows, columns: b.columns } : undefined;
  const [rankA, rankB, ...kernel] = core;
  if (rankA !== left.columns || rankB !== b.rows) return undefined;
  return { rows: left.rows, columns: b.columns * count(kernel) };
}

function sizeOf(tensor: LoraTensor | undefined): Size | undefined {
  if (!tensor) return undefined;
  const [rows = 1, ...rest] = tensor.view.shape;
  return { rows, columns: count(rest) };
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
