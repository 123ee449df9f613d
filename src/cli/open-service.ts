// Opens the service for the command line: settings from the environment, unconfined paths, text logs on stderr.
import { ImageService } from '../service/image-service.js';
import type { ModelDescription } from '../service/models/list.js';
import { type Config, readConfig } from '../shared/config.js';
import { createTextLogger, silentLogger } from '../shared/log.js';

export function openService({
  verbose,
  config = readConfig(),
}: {
  verbose?: boolean;
  config?: Config;
} = {}): ImageService {
  const logger = verbose ? createTextLogger((line) => process.stderr.write(line)) : silentLogger;
  return new ImageService({ config, logger });
}

/** Lists every known model without starting an engine. */
export async function describeModels(config = readConfig()): Promise<ModelDescription[]> {
  return openService({ config }).listModels();
}

/**
 * Makes Ctrl-C and SIGTERM cancel what runs; a second one ends the program at once. `release` removes the handlers.
 */
export function cancelOnSignals(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    release: () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  };
}
