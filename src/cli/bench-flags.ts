// What can be chosen for a benchmark.

export interface BenchFlags {
  model?: string;
  steps?: string;
  guidance?: string;
  width?: string;
  height?: string;
  runs: string;
  json?: true;
  quiet?: true;
}

/** What of a request can be chosen. */
export const BENCH_FIELDS = ['model', 'steps', 'guidance', 'width', 'height'];
