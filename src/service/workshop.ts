// What the work on one request shares with the work on others.
import type { Config } from '../shared/config.js';
import type { Logger } from '../shared/log.js';
import type { PromptAssistant } from './assist.js';
import type { EngineRoom } from './engine-room.js';
import type { ModelMemory } from './models/memory.js';
import type { PictureCache } from './pictures/cache.js';

export interface Workshop {
  readonly config: Config;
  /** Paths in requests come from clients, not from the user at the machine. */
  readonly confine: boolean;
  readonly logger: Logger;
  readonly assistant: PromptAssistant;
  readonly engine: EngineRoom;
  readonly cache: PictureCache;
  readonly models: ModelMemory;
  /** Decoding the pictures of hundreds of clients at once would keep all of them, and their memory, waiting. */
  readonly preparing: <T>(work: () => Promise<T>) => Promise<T>;
}
