// The merges that the LoRA tests rely on agree with numpy's. tests/fixtures/lora/make.py made its own from the same weights
// and factors, which DUMP_LORA_KINDS=FILE writes for it.
import { join } from 'node:path';
import { expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../scripts/fixtures/tensors.mjs';
import { relativeDifference } from '../golden.js';
import { add, matrix } from '../lora/algebra.js';
import { type FileTensor, kernelKinds, kinds } from '../lora/kinds.js';

const { decode, encode, randomTensor, readSafetensors, writeSafetensors } = fixtures;

const dump = new Map<string, FileTensor>();
const cases = [
  [32, 16],
  [16, 8, 3, 3],
].flatMap((shape) =>
  Object.entries({ ...kinds, ...(shape.length > 2 && kernelKinds) }).map(([kind, make]) => {
    const [rows = 1, inputs = 1, ...kernel] = shape;
    const taps = kernel.reduce((product, n) => product * n, 1);
    const values = decode(randomTensor(7, shape, 0.5));
    const base = { ...matrix(rows, inputs * taps, values), inputs, taps };
    const { tensors, merged } = make(base, 3);
    const name = `${kind} on [${shape}]`;
    dump.set(`${name}/base`, encode(values, shape, 'F32'));
    // numpy has no BF16.
    for (const [ending, tensor] of Object.entries(tensors))
      dump.set(
        `${name}/${ending}`,
        tensor.dtype === 'BF16' ? encode(decode(tensor), tensor.shape, 'F32') : tensor,
      );
    return { name, base, merged };
  }),
);
if (process.env.DUMP_LORA_KINDS) writeSafetensors(process.env.DUMP_LORA_KINDS, dump);

const numpy: Map<string, FileTensor> = readSafetensors(
  join(import.meta.dirname, '../fixtures/lora/merged.safetensors'),
);

it('covers all of the merges by numpy', () => {
  expect([...numpy.keys()].sort()).toEqual(cases.map(({ name }) => name).sort());
});

it.each(cases)('$name', ({ name, base, merged }) => {
  const theirs = add(matrix(base.rows, base.columns, decode(numpy.get(name)!)), base, -1).values;
  expect(relativeDifference(add(merged, base, -1).values, theirs)).toBeLessThan(1e-5);
});
