// Compares the least memory that a generation will need with what the machine has, before anything waits or is loaded.
import type { ModelPlan, NetworkPlan } from '../../families/types.js';
import { estimateNeeds, formatGigabytes, sumNeeds } from '../../pipeline/memory-mode.js';
import type { Config } from '../../shared/config.js';
import { ImageForgeError } from '../../shared/errors.js';
import { readFreeMemory } from '../../shared/free-memory.js';
import type { MemoryChoice } from '../../shared/memory-modes.js';
import type { Size } from '../pictures/size.js';

/**
 * Refuses what cannot fit into this machine's memory even layer by layer. With a forced mode or a GPU in DEVICE, it leaves
 * the decision to the engine, which knows that device.
 * @throws ImageForgeError OUT_OF_MEMORY with the figures.
 */
export function requireMemory(
  name: string,
  plan: ModelPlan,
  {
    width,
    height,
    references,
    control,
  }: Size & { references?: readonly Size[] | undefined; control?: NetworkPlan | undefined },
  { device, memoryMode }: Pick<Config, 'device'> & { memoryMode: MemoryChoice },
  free = readFreeMemory(),
): void {
  if (memoryMode !== 'auto' || (device !== 'auto' && device !== 'cpu')) return;
  const sums = sumNeeds(estimateNeeds(plan, { width, height }, references, control));
  if (sums.stream <= free) return;
  throw new ImageForgeError(
    'OUT_OF_MEMORY',
    `${name} at ${width}x${height} needs about ${formatGigabytes(sums.stream)} even layer by layer ` +
      `(weights in total ${formatGigabytes(sums.weights)}, compute ${formatGigabytes(sums.compute)}); ` +
      `${formatGigabytes(free)} are free.`,
    {
      hint: 'Choose a smaller size, free some memory, or force it with --memory-mode stream (MEMORY_MODE=stream).',
      details: { weights: sums.weights, compute: sums.compute, free },
    },
  );
}
