// What a network's plan says about memory.
import { expect, test } from 'vitest';
import { planNetwork } from '../../../src/families/family.js';
import type { TensorView } from '../../../src/families/tensors.js';

test('a plan counts bytes as they are in memory, and does not need a whole token table', () => {
  const view = (type: string, shape: number[], bytes: number): TensorView => ({
    path: 'file',
    offset: 0,
    type,
    shape,
    bytes,
  });
  const tensors = new Map([
    ['tokens', view('f16', [1000, 8], 16_000)],
    ['fp8', view('f8_e4m3', [64, 8], 512)],
    ['f64', view('f64', [8, 8], 512)],
    ['q4_0', view('q4_0', [32, 32], 576)],
  ]);
  expect(planNetwork('t5', { vocab: 1000 }, tensors)).toMatchObject({
    bytes: 16_000 + 1024 + 256 + 576,
    largest: 1024,
  });
  expect(planNetwork('flux', {}, tensors).largest).toBe(16_000);
});
