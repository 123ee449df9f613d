// Measures what a picture costs on this machine: loading, a step, decoding, and peak memory of the engine's process.
import type { Progress } from '../pipeline/types.js';
import type { ImageResult } from './answers/results.js';
import type { ImageService } from './image-service.js';

export interface BenchResult {
  model: string;
  device: string | null;
  width: number;
  height: number;
  steps: number;
  guidance: number;
  runs: number;
  /** From the request to the first step: starting the engine's process, loading the model, encoding the prompt. */
  ready_s: number;
  load_s: number;
  prompt_s: number;
  /** Median over all steps; null if there were none to measure. */
  step_s: number | null;
  /** Median over the runs, like total_s. */
  decode_s: number;
  total_s: number;
  /** Resident bytes, including the parts of mapped weight files in use. */
  peak_memory: number;
}

export interface BenchOptions {
  runs: number;
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

const PROMPT = 'a large red star above a small blue house';

/**
 * Makes the same picture `runs` times, starting without an engine. Saves nothing and does not use the cache.
 * @throws ImageForgeError of any code.
 */
export async function benchModel(
  service: ImageService,
  fields: Record<string, unknown>,
  { runs, signal, onProgress }: BenchOptions,
): Promise<BenchResult> {
  const request = service.parse('generate', { prompt: PROMPT, seed: 1, use_cache: false, ...fields });
  await service.unload();
  const begun = performance.now();
  const steps: number[] = [];
  const results: ImageResult[] = [];
  const totals: number[] = [];
  let readyAt: number | undefined;
  for (let run = 0; run < runs; run++) {
    const runBegun = performance.now();
    let lastStep: number | undefined;
    const onStep = (progress: Progress) => {
      onProgress?.(progress);
      if (progress.phase !== 'denoise') return;
      const now = performance.now();
      readyAt ??= now;
      if (lastStep !== undefined && progress.step > 0) steps.push((now - lastStep) / 1000);
      lastStep = now;
    };
    const controls = { save: { enabled: false }, onProgress: onStep, ...(signal && { signal }) };
    results.push(await service.run(request, controls));
    totals.push((performance.now() - runBegun) / 1000);
  }
  const { engine } = await service.status();
  const [first] = results as [ImageResult, ...ImageResult[]];
  const { model, width, height, guidance } = first;
  return {
    model,
    device: engine.device,
    width,
    height,
    steps: first.steps,
    guidance,
    runs,
    ready_s: round(((readyAt ?? begun) - begun) / 1000),
    load_s: round(first.seconds?.load ?? 0),
    prompt_s: round(first.seconds?.encode ?? 0),
    step_s: steps.length === 0 ? null : round(median(steps)),
    decode_s: round(median(results.map(({ seconds }) => seconds?.decode ?? 0))),
    total_s: round(median(totals)),
    peak_memory: engine.peakRss,
  };
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function round(seconds: number): number {
  return Math.round(seconds * 10_000) / 10_000;
}
