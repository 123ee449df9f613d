// What tests of networks share: engines that compute by either set of operations, and how exact each of them is.
import type { Engine, EngineOptions, Weights } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { onCpu, testDevice } from '../device.js';
import type { Precision } from '../golden.js';

export interface Operations {
  name: string;
  /** The value of IMAGEFORGE_KERNELS. */
  kernels: 'on' | 'off';
  /** How they treat F16 weights: ggml's product rounds activations to the weights' type, our kernels don't. */
  precision: Precision;
}

/** BF16 weights are widened before the product on the CPU; GPUs round what they are multiplied with to BF16. */
export function precisionFor({ tensors }: Weights, { precision }: Operations): Precision {
  if (!tensors.some(({ type }) => type === 'bf16')) return precision;
  return onCpu ? 'f32' : 'bf16_gemm';
}

export const operations: Operations[] = onCpu
  ? [
      { name: 'our kernels', kernels: 'on', precision: 'f32' },
      { name: "ggml's operations", kernels: 'off', precision: 'f16_gemm' },
    ]
  : [{ name: testDevice, kernels: 'on', precision: 'f16_gemm' }];

/**
 * An engine that lives while `run` runs and builds its graphs from the chosen operations. It has one thread: threads
 * that wait for each other crawl on a busy machine.
 */
export async function withEngine(
  chosen: Operations,
  run: (engine: Engine) => Promise<void>,
  options: Partial<EngineOptions> = {},
): Promise<void> {
  const before = process.env.IMAGEFORGE_KERNELS;
  process.env.IMAGEFORGE_KERNELS = chosen.kernels;
  const engine = new (loadAddon().Engine)({ device: testDevice, threads: 1, ...options });
  try {
    await run(engine);
  } finally {
    await engine.close();
    if (before === undefined) delete process.env.IMAGEFORGE_KERNELS;
    else process.env.IMAGEFORGE_KERNELS = before;
  }
}
