// Makes a contact sheet of raw pictures (128 x 128 RGB bytes, one after another): node sheet.mjs IN.raw OUT.png [columns]
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { pictureSize } from './scene.mjs';

const [input, output, columns = '10'] = process.argv.slice(2);
const raw = readFileSync(input);
const bytes = pictureSize * pictureSize * 3;
const count = Math.floor(raw.length / bytes);
const wide = Math.min(count, Number(columns));
const pitch = pictureSize + 4;
const tiles = Array.from({ length: count }, (_, i) => ({
  input: raw.subarray(i * bytes, (i + 1) * bytes),
  raw: { width: pictureSize, height: pictureSize, channels: /** @type {const} */ (3) },
  left: (i % wide) * pitch + 2,
  top: Math.floor(i / wide) * pitch + 2,
}));
const canvas = {
  width: wide * pitch,
  height: Math.ceil(count / wide) * pitch,
  channels: /** @type {const} */ (3),
  background: '#dddddd',
};
await sharp({ create: canvas }).composite(tiles).png({ palette: true, quality: 80 }).toFile(output);
