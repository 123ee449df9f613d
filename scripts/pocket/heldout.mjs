// Writes heldout.json: 200 captions of combinations that training never sees, half with one object, half with two.
import { writeFileSync } from 'node:fs';
import { describeScene } from './caption.mjs';
import { parseCaption } from './evaluate.mjs';
import { createRandom, isHeldOut, randomScene, relationNames } from './scene.mjs';

const random = createRandom(20240);
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
  new URL('heldout.json', import.meta.url),
  `[\n${entries.map((entry) => `  ${JSON.stringify(entry)}`).join(',\n')}\n]\n`,
);
