// Makes the README's contact sheet with the product itself: text to image, image to image and inpainting with pocket.
//   node scripts/pocket/contact-sheet.mjs docs/images/contact-sheet.png
import sharp from 'sharp';
import { ImageForge } from '../../dist/index.js';

const size = 128;
const gap = 4;
const prompts = [
  'a large red star above a small blue house on a yellow background',
  'a green fish on a white background',
  'a purple heart inside a pink circle on a gray background',
  'an outline drawing of a blue car on a white background',
  'a softly shaded orange mushroom on a blue background',
  'a yellow smiley on a purple background',
  'a white cloud left of an orange sun on a blue background',
  'a black key on a pink background',
];
const changes = [
  ['a red car on a white background', 'a blue car on a yellow background', 0.75],
  ['a green apple on a pink background', 'an orange apple on a pink background', 0.7],
  ['a white boat on a blue background', 'a white fish on a blue background', 0.85],
  ['a brown tree on a gray background', 'a green tree on a gray background', 0.7],
];
const repaints = [
  [
    'a yellow star above a red cup on a blue background',
    'a white moon above a red cup on a blue background',
    'top',
  ],
  [
    'a black circle above a blue house on a white background',
    'a red heart above a blue house on a white background',
    'top',
  ],
  [
    'a green tree left of a red ring on a yellow background',
    'a purple flower left of a red ring on a yellow background',
    'left',
  ],
  [
    'a pink heart above a black car on a gray background',
    'a pink heart above a yellow fish on a gray background',
    'bottom',
  ],
];

const [output] = process.argv.slice(2);
if (!output) throw new Error('usage: contact-sheet.mjs OUT.png');
const forge = new ImageForge();
const make = async (options) => (await forge.generate({ seed: 42, ...options })).image.toPNG();

const rows = [];
rows.push(await inOrder(prompts, (prompt) => make({ prompt })));
rows.push(
  await inOrder(changes, async ([before, prompt, strength]) => {
    const image = await make({ prompt: before });
    return [image, await (await forge.edit({ prompt, image, strength, seed: 42 })).image.toPNG()];
  }),
);
rows.push(
  await inOrder(repaints, async ([before, prompt, half]) => {
    const image = await make({ prompt: before });
    const result = await forge.inpaint({ prompt, image, mask: await maskOf(half), strength: 1, seed: 42 });
    return [image, await result.image.toPNG()];
  }),
);
await forge.close();
const tiles = rows.flatMap((row, y) =>
  row.flat().map((input, x) => ({ input, left: gap + x * (size + gap), top: gap + y * (size + gap) })),
);
const width = gap + prompts.length * (size + gap);
const height = gap + rows.length * (size + gap);
await sharp({ create: { width, height, channels: 3, background: '#dddddd' } })
  .composite(tiles)
  .png({ compressionLevel: 9 })
  .toFile(output);

async function inOrder(items, task) {
  const results = [];
  for (const item of items) results.push(await task(item));
  return results;
}

/** A mask that is white over one half of the picture. */
function maskOf(half) {
  const box = { top: 0, left: 0, width: size, height: size };
  if (half === 'left') box.width = size / 2;
  else box.height = size / 2;
  if (half === 'bottom') box.top = size / 2;
  const { left, top, width, height } = box;
  const white = { create: { width, height, channels: 3, background: '#ffffff' } };
  return sharp({ create: { width: size, height: size, channels: 3, background: '#000000' } })
    .composite([{ input: white, left, top }])
    .png()
    .toBuffer();
}
