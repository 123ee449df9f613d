// The options of `imageforge bench`.

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

/** The request fields that `bench` offers as options. */
export const BENCH_FIELDS = ['model', 'steps', 'guidance', 'width', 'height'];
