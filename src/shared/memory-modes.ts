// How a model's networks are kept in memory.

export const MEMORY_MODES = ['full', 'offload', 'stream'] as const;

/** full: all networks stay; offload: one network at a time; stream: of that one only the layers that compute. @useDeclaredType */
export type MemoryMode = (typeof MEMORY_MODES)[number];

/** What a user may ask for. auto: the roomiest mode that fits. */
export type MemoryChoice = 'auto' | MemoryMode;
