// Weights one byte further in their files: nothing is aligned any more, so that it has to be copied to be computed with,
// on the CPU as on a device with memory of its own.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelPlan, NetworkPlan } from '../../src/families/types.js';
import type { Weights } from '../../src/native/addon.js';
import { makeFolder } from '../folder.js';

export function shiftWeights({ files, tensors }: Weights): Weights {
  const folder = makeFolder('shifted');
  const shifted = files.map((file, i) => {
    const path = join(folder, String(i));
    writeFileSync(path, Buffer.concat([Buffer.alloc(1), readFileSync(file)]));
    return path;
  });
  return {
    files: [...files, ...shifted], // a tokenizer is read from the first
    tensors: tensors.map(({ file, offset, ...tensor }) => ({
      ...tensor,
      file: files.length + file,
      offset: offset + 1,
    })),
  };
}

export function shiftPlan(plan: ModelPlan): ModelPlan {
  const shift = <T extends NetworkPlan>(network: T): T => ({
    ...network,
    weights: shiftWeights(network.weights),
  });
  return {
    ...plan,
    textEncoders: plan.textEncoders.map(shift),
    denoiser: shift(plan.denoiser),
    autoencoder: shift(plan.autoencoder),
  };
}
