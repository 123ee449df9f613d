// What all requests share while they are worked on.
import type { Config } from '../shared/config.js';
import type { Logger } from '../shared/log.js';
import type { PromptAssistant } from './assist.js';
import type { EngineRoom } from './engine-room.js';
import type { ModelMemory } from './models/memory.js';
import type { PictureCache } from './pictures/cache.js';

export interface Workshop {
  readonly config: Config;
  /** Paths in requests come from clients, not from the user of this machine. */
  readonly confine: boolean;
  readonly logger: Logger;
  readonly assistant: PromptAssistant;
  readonly engine: EngineRoom;
  readonly cache: PictureCache;
  readonly models: ModelMemory;
  /** Prepares few requests at a time: decoding hundreds of pictures at once would slow all of them and take much memory. */
  readonly preparing: <T>(work: () => Promise<T>) => Promise<T>;
}
