// Runs one generation in its own engine process and measures what it costs.
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { EngineClient } from '../../dist/engine/client.js';
import { planModel } from '../../dist/families/index.js';
import { resolveRequest } from '../../dist/pipeline/resolve.js';

/** @typedef {{ name: string, model: import('../../dist/families/types.js').ModelFiles, size: number, steps: number, guidance: number, batch?: number }} Row */

export function openClient({ device, threads }) {
  // The engine logs how it keeps the networks in memory, and why.
  const onLog = (_level, message) => process.stderr.write(`${message}\n`);
  return new EngineClient({ device, threads, onLog });
}

/** @param {Row} row */
export async function createRequest(
  { model, size, steps, guidance, batch = 1 },
  seed = 1,
  memoryMode = 'auto',
) {
  const sides = { width: size, height: size };
  return resolveRequest(
    { prompt: 'a photograph of an astronaut', seed, ...sides, steps, guidance, batch, memoryMode },
    model,
    await planModel(model),
  );
}

/**
 * Measures a cold generation: the process starts for it, loads the model and ends with it; the files are in the page
 * cache. `readySeconds` runs from before the process starts to the first denoising step. Peaks are resident memory,
 * including mapped files in use.
 * @param {Row} row
 */
export async function measureGeneration(row, options) {
  for (const file of Object.values(row.model)) await readThrough(file);
  const request = await createRequest(row, 1, options.memoryMode);
  const client = openClient(options);
  const begin = performance.now();
  const stepEnds = [];
  let textPeak = null;
  let samplingPeak = null;
  try {
    const result = await client.run(request, {
      onProgress: ({ phase }) => {
        if (phase === 'denoise') {
          stepEnds.push(performance.now());
          textPeak ??= readPeak(client.pid);
        }
        if (phase === 'decode') samplingPeak ??= readPeak(client.pid);
      },
    });
    const wall = (performance.now() - begin) / 1000;
    const peakBytes = await readPeak(client.pid);
    return {
      name: row.name,
      size: row.size,
      steps: row.steps,
      textSeconds: result.seconds.encode,
      readySeconds: (stepEnds[0] - begin) / 1000,
      // Leave out the first step, which also reads the mapped weights for the first time.
      stepSeconds: median(stepEnds.slice(1).map((end, i) => (end - stepEnds[i]) / 1000)),
      decodeSeconds: result.seconds.decode,
      textPeakBytes: await textPeak,
      samplingPeakBytes: await samplingPeak,
      peakBytes,
      wallSeconds: wall,
      phases: result.seconds,
    };
  } finally {
    await client.close();
  }
}

async function readThrough(file) {
  if (typeof file !== 'string') return;
  for await (const _ of createReadStream(file, { highWaterMark: 1 << 22 }));
}

/** Peak resident memory of a process so far, in bytes; null if the system doesn't report it. */
async function readPeak(pid) {
  if (os.platform() !== 'linux' || pid === null) return null;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const match = /^VmHWM:\s+(\d+) kB/m.exec(status);
  return match ? Number(match[1]) * 1024 : null;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
