// Draws scenes for training: node dataset.mjs --out DIR --count N --seed S
// Writes pictures.u8 (N x 128 x 128 x 3 bytes) and captions.jsonl (one {captions, scene} per line, with three captions each).
// Leaves out held-out combinations.
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultBackground, describeScene } from './caption.mjs';
import { createRandom, drawScene, isHeldOut, randomScene } from './scene.mjs';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    count: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
  },
});
if (!values.out) throw new Error('missing --out DIR');
mkdirSync(values.out, { recursive: true });
const random = createRandom(Number(values.seed));
const pictures = createWriteStream(join(values.out, 'pictures.u8'));
const captions = createWriteStream(join(values.out, 'captions.jsonl'));

/** One picture in eight has the background that captions may leave out. */
function trainingScene() {
  for (;;) {
    const scene = randomScene(random);
    if (random() < 0.125) scene.background = defaultBackground(scene);
    if (scene.objects.some((object) => object.colour === scene.background)) continue;
    if (!isHeldOut(scene)) return scene;
  }
}

for (let i = 0; i < Number(values.count); i++) {
  const scene = trainingScene();
  captions.write(
    `${JSON.stringify({ captions: [0, 1, 2].map(() => describeScene(scene, random)), scene })}\n`,
  );
  if (!pictures.write(drawScene(scene))) await new Promise((resolve) => pictures.once('drain', resolve));
}
pictures.end();
captions.end();
