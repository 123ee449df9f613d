// Writes heldout.json: 200 captions of combinations that training never sees, half with one object, half with two.
// `node heldout.mjs --seed 7 --out FILE` draws another 200, for choosing settings (score.mjs --captions FILE).
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { describeScene } from './caption.mjs';
import { parseCaption } from './evaluate.mjs';
import { createRandom, isHeldOut, randomScene, relationNames } from './scene.mjs';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '20240' }, out: { type: 'string' } },
});
const random = createRandom(Number(values.seed));
const entries = [];
for (const count of /** @type {const} */ ([1, 2])) {
  for (let i = 0; i < 100; i++) {
    let scene;
    do {
      scene = randomScene(random, { count, relation: count === 2 ? relationNames[i % 3] : undefined });
    } while (!isHeldOut(scene));
    const caption = describeScene(scene, random, { complete: true });
    const { background, relation, objects, style } = scene;
    const expected = {
      background,
      objects: objects.map(({ shape, colour }) => ({ shape, colour })),
      ...(relation && { relation }),
    };
    const parsed = parseCaption(caption);
    if (
      JSON.stringify([parsed.background, parsed.objects.map((o) => [o.shape, o.colour]), parsed.relation]) !==
      JSON.stringify([background, objects.map((o) => [o.shape, o.colour]), relation])
    ) {
      throw new Error(`"${caption}" is read as ${JSON.stringify(parsed)}`);
    }
    entries.push({ caption, style, expected });
  }
}
writeFileSync(
  values.out ?? new URL('heldout.json', import.meta.url),
  `[\n${entries.map((entry) => `  ${JSON.stringify(entry)}`).join(',\n')}\n]\n`,
);
