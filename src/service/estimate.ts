// What a generation will need at the least, estimated before anything waits or is loaded, against what the machine has.
import type { ModelPlan, NetworkPlan } from '../families/types.js';
import { estimateNeeds, formatGigabytes, sumNeeds } from '../pipeline/memory-mode.js';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { readFreeMemory } from '../shared/free-memory.js';
import type { MemoryChoice } from '../shared/memory-modes.js';
import type { Size } from './pictures.js';

/**
 * Refuses what cannot fit into this machine's memory even layer by layer. A forced mode or a GPU named in DEVICE leaves
 * the word to the engine, which knows that device.
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
      `(weights in all ${formatGigabytes(sums.weights)}, compute ${formatGigabytes(sums.compute)}); ` +
      `${formatGigabytes(free)} are free.`,
    {
      hint: 'Choose a smaller size, free some memory, or force it with --memory-mode stream (MEMORY_MODE=stream).',
      details: { weights: sums.weights, compute: sums.compute, free },
    },
  );
}
