// Makes the figures of docs/pocket.md: draws the held-out captions with the product itself and judges every picture.
// node scripts/pocket/score.mjs [--steps N] [--guidance G] [--sampler S] [--schedule S] [--raw FILE] [--every N]
//   [--model FILE] [--captions FILE]
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ImageForge } from '../../dist/index.js';
import { judge } from './evaluate.mjs';

const { values } = parseArgs({
  options: {
    steps: { type: 'string' },
    guidance: { type: 'string' },
    sampler: { type: 'string' },
    schedule: { type: 'string' },
    seed: { type: 'string', default: '1000' },
    every: { type: 'string', default: '1' },
    model: { type: 'string' },
    raw: { type: 'string' },
    captions: { type: 'string' },
  },
});
/** @type {{caption: string, style: string, expected: import('./evaluate.mjs').Expected}[]} */
const all = JSON.parse(readFileSync(values.captions ?? new URL('heldout.json', import.meta.url), 'utf8'));
const entries = all.filter((_, i) => i % Number(values.every) === 0);
const options = {
  ...(values.steps && { steps: Number(values.steps) }),
  ...(values.guidance && { guidance: Number(values.guidance) }),
  ...(values.sampler && { sampler: values.sampler }),
  ...(values.schedule && { schedule: values.schedule }),
};

/** @type {Record<string, {correct: number, of: number}>} */
const totals = {};
const tally = (/** @type {string} */ key, /** @type {boolean} */ correct) => {
  totals[key] ??= { correct: 0, of: 0 };
  totals[key].of++;
  if (correct) totals[key].correct++;
};
const pictures = [];
const start = performance.now();
const forge = new ImageForge(values.model ? { model: values.model } : {});
for (const [i, { caption, style, expected }] of entries.entries()) {
  const { image } = await forge.generate({ prompt: caption, seed: Number(values.seed) + i, ...options });
  pictures.push(image.rgb);
  const result = judge(image.rgb, expected);
  const group = expected.objects.length === 1 ? 'one object' : 'two objects';
  tally(group, result.correct);
  if (expected.relation) tally(`two objects, ${expected.relation}`, result.correct);
  tally(`${group}, ${style}`, result.correct);
  for (const [part, right] of Object.entries(result.right)) tally(`${group}: ${part} right`, right);
}
await forge.close();
if (values.raw) writeFileSync(values.raw, Buffer.concat(pictures));
for (const [key, { correct, of }] of Object.entries(totals).sort(([a], [b]) => (a < b ? -1 : 1))) {
  console.log(
    `${key.padEnd(32)} ${String(correct).padStart(3)} of ${of}  ${((100 * correct) / of).toFixed(1)} %`,
  );
}
console.log(`${((performance.now() - start) / 1000 / entries.length).toFixed(2)} s per picture`);
