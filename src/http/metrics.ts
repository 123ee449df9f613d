// Formats GET /metrics in Prometheus' text format, version 0.0.4.

import type { ServiceStatus } from '../service/image-service.js';
import type { JobStore } from '../service/jobs/store.js';

export class Metrics {
  readonly #requests = new Map<string, number>();

  countRequest(method: string, path: string, status: number): void {
    const labels = `method="${method}",path="${path}",status="${status}"`;
    this.#requests.set(labels, (this.#requests.get(labels) ?? 0) + 1);
  }

  format(status: ServiceStatus, { totals }: JobStore): string {
    const { queue, engine, loaded } = status;
    return [
      ...family('imageforge_jobs_total', 'counter', 'Jobs that have ended, by outcome.', [
        ['outcome="done"', totals.done],
        ['outcome="failed"', totals.failed],
        ['outcome="cancelled"', totals.cancelled],
      ]),
      ...family('imageforge_images_total', 'counter', 'Images delivered.', [['', totals.images]]),
      ...family('imageforge_cache_hits_total', 'counter', 'Jobs answered from the cache.', [
        ['', totals.cached],
      ]),
      ...family('imageforge_job_seconds_total', 'counter', 'Seconds spent on jobs that succeeded.', [
        ['', totals.seconds],
      ]),
      ...family('imageforge_queue_waiting', 'gauge', 'Jobs that are waiting.', [['', queue.waiting]]),
      ...family('imageforge_queue_limit', 'gauge', 'Jobs that may wait.', [['', queue.limit]]),
      ...family('imageforge_job_running', 'gauge', 'Whether a job is running.', [
        ['', Number(queue.running)],
      ]),
      ...family('imageforge_model_loaded', 'gauge', 'Whether a model is in memory.', [['', Number(loaded)]]),
      ...family('imageforge_engine_resident_bytes', 'gauge', "Resident memory of the engine's process.", [
        ['', engine.rss],
      ]),
      ...family('imageforge_engine_weights_bytes', 'gauge', 'Weights on the device.', [
        ['', engine.memory?.weights ?? 0],
      ]),
      ...family('imageforge_http_requests_total', 'counter', 'HTTP requests by route and status.', [
        ...this.#requests,
      ]),
      '',
    ].join('\n');
  }
}

function family(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: [string, number][],
): string[] {
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(([labels, value]) => `${name}${labels ? `{${labels}}` : ''} ${value}`),
  ];
}
