// Validates the recogniser: node validate.mjs [--count 600] [--seed 77] draws random scenes and compares.
// With --raw FILE --captions FILE.jsonl it instead judges raw pictures (128 x 128 RGB bytes, one after another) against the
// scenes of a data set, or against {expected} lines.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { judge } from './evaluate.mjs';
import { createRandom, drawScene, pictureSize, randomScene } from './scene.mjs';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '600' },
    seed: { type: 'string', default: '77' },
    raw: { type: 'string' },
    captions: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});

/** @returns {Generator<{pixels: Uint8Array, expected: import('./evaluate.mjs').Expected, label: string}>} */
function* cases() {
  if (values.raw && values.captions) {
    const raw = readFileSync(values.raw);
    const bytes = pictureSize * pictureSize * 3;
    const lines = readFileSync(values.captions, 'utf8').split('\n');
    for (let i = 0; (i + 1) * bytes <= raw.length; i++) {
      const row = JSON.parse(lines[i]);
      const expected = row.expected ?? row.scene;
      yield {
        pixels: raw.subarray(i * bytes, (i + 1) * bytes),
        expected,
        label: row.caption ?? row.captions[0],
      };
    }
    return;
  }
  const random = createRandom(Number(values.seed));
  for (let i = 0; i < Number(values.count); i++) {
    const scene = randomScene(random);
    yield { pixels: drawScene(scene), expected: scene, label: `${scene.style} scene` };
  }
}

/** @type {Record<string, {correct: number, of: number}>} */
const totals = {};
const tally = (/** @type {string} */ key, /** @type {boolean} */ correct) => {
  totals[key] ??= { correct: 0, of: 0 };
  totals[key].of++;
  if (correct) totals[key].correct++;
};
for (const { pixels, expected, label } of cases()) {
  const result = judge(pixels, expected);
  tally('all', result.correct);
  const group = expected.objects.length === 1 ? 'one object' : 'two objects';
  tally(group, result.correct);
  if (expected.relation) tally(expected.relation, result.correct);
  for (const [part, right] of Object.entries(result.right)) tally(`${group}: ${part}`, right);
  if (!result.correct && !values.quiet) {
    const describe = (/** @type {import('./evaluate.mjs').Expected} */ s) =>
      `${s.objects.map((o) => `${o.colour} ${o.shape}`).join(` ${s.relation ?? ''} `)} on ${s.background}`;
    console.error(`${label}: expected ${describe(expected)}, found ${describe(result)}`);
  }
}
console.log(
  JSON.stringify(
    Object.fromEntries(Object.entries(totals).map(([k, t]) => [k, `${t.correct}/${t.of}`])),
    null,
    1,
  ),
);
