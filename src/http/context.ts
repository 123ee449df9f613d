// What every route gets to work with.

import type { ImageService } from '../service/image-service.js';
import type { JobStore } from '../service/jobs/store.js';
import type { Logger } from '../shared/log.js';
import type { Metrics } from './metrics.js';
import type { OllamaProbe } from './ollama-probe.js';

export interface Doors {
  service: ImageService;
  jobs: JobStore;
  ollama: OllamaProbe;
  metrics: Metrics;
  logger: Logger;
}
