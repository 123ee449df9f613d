// Judges a picture against a caption: node scripts/pocket/evaluate.mjs IMAGE.png "caption"
// Prints what was found and whether it matches the caption. Exit code 0 if it does, 1 if not.
import { pathToFileURL } from 'node:url';
import { defaultBackground, shapeWords } from './caption.mjs';
import { recognise } from './recognise.mjs';
import { backgroundNames, colourNames, pictureSize, shapeNames } from './scene.mjs';

/** @typedef {import('./scene.mjs').Relation} Relation */
/** @typedef {{background: string, objects: {shape: string, colour: string}[], relation?: Relation}} Expected */

/** @type {[RegExp, Relation, boolean][]} relation words, and whether the first object mentioned is the scene's first */
const relations = [
  [/\b(above|over|on top of)\b/, 'above', true],
  [/\b(below|under|beneath)\b/, 'above', false],
  [/\bleft of\b/, 'left of', true],
  [/\bright of\b/, 'left of', false],
  [/\b(with .* inside|containing|around)\b/, 'inside', false],
  [/\b(inside|within|in)\b/, 'inside', true],
];

const shapeOfWord = new Map(
  shapeNames.flatMap((shape) => [shape, ...(shapeWords[shape] ?? [])].map((word) => [word, shape])),
);
const shapePattern = [...shapeOfWord.keys()].sort((a, b) => b.length - a.length).join('|');
const objectPattern = new RegExp(`\\b(?:(${colourNames.join('|')}) )?(${shapePattern})\\b`, 'g');
const names = backgroundNames.join('|');
const backgroundPatterns = [
  new RegExp(`(?:\\b(?:on|against) (?:an? )?)?\\b(${names}) background\\b`),
  new RegExp(`\\bon (?:an? )?(${names})(?=$|,)`),
];

/** Reads what a caption in the wording of caption.mjs asks for. @param {string} caption @returns {Expected} */
export function parseCaption(caption) {
  let text = caption.toLowerCase();
  let background;
  for (const pattern of backgroundPatterns) {
    const match = pattern.exec(text);
    if (!match) continue;
    background = match[1];
    text = text.replace(match[0], ' ');
    break;
  }
  const objects = [...text.matchAll(objectPattern)].map((match) => ({
    colour: match[1] ?? '',
    shape: /** @type {string} */ (shapeOfWord.get(match[2])),
  }));
  if (objects.length === 0)
    throw new Error(`no known shape in "${caption}"; expected one of ${shapeNames.join(', ')}`);
  if (objects.length === 1) return { background: background ?? defaultBackground({ objects }), objects };
  const found = relations.find(([pattern]) => pattern.test(text));
  if (!found) throw new Error(`two objects but no relation in "${caption}"`);
  const pair = found[2] ? objects.slice(0, 2) : [objects[1], objects[0]];
  return { background: background ?? defaultBackground({ objects }), objects: pair, relation: found[1] };
}

/**
 * Recognises a picture and compares it with what it should show.
 * @param {Uint8Array} pixels RGB bytes, 128 x 128 @param {Expected} expected
 */
export function judge(pixels, expected) {
  const found = recognise(pixels);
  const right = {
    background: found.background === expected.background,
    objects:
      found.objects.length === expected.objects.length &&
      expected.objects.every((object, i) => object.shape === found.objects[i].shape),
    colours:
      found.objects.length === expected.objects.length &&
      expected.objects.every((object, i) => !object.colour || object.colour === found.objects[i].colour),
    relation: (found.relation ?? '') === (expected.relation ?? ''),
  };
  return { ...found, right, correct: Object.values(right).every(Boolean) };
}

/** Reads an image file as RGB bytes, scaled to the recogniser's size. @param {string} file */
export async function readPixels(file) {
  const { default: sharp } = await import('sharp');
  const image = sharp(file)
    .removeAlpha()
    .toColourspace('srgb')
    .resize(pictureSize, pictureSize, { fit: 'fill' });
  return new Uint8Array(await image.raw().toBuffer());
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [file, caption] = process.argv.slice(2);
  if (!file || !caption) {
    console.error('usage: node scripts/pocket/evaluate.mjs IMAGE "caption"');
    process.exit(2);
  }
  const result = judge(await readPixels(file), parseCaption(caption));
  console.log(JSON.stringify(result, null, 2));
  process.exitCode = result.correct ? 0 : 1;
}
