// Writes captions of scenes, with varied wording. What a caption leaves out has a default in the drawing, so that every
// caption determines its picture: no style word means flat, no background means white (gray behind white objects).
import { createRandom } from './scene.mjs';

/** @typedef {import('./scene.mjs').Scene} Scene */
/** @typedef {import('./scene.mjs').SceneObject} SceneObject */
/** @typedef {() => number} Random */

/** @template T @param {Random} random @param {readonly T[]} list @returns {T} */
const pick = (random, list) => list[Math.floor(random() * list.length)];

const sizeWords = {
  small: ['small', 'small', 'tiny', 'little'],
  medium: ['medium', 'medium-sized'],
  large: ['large', 'large', 'big', 'huge'],
};
const fillers = ['beautiful', 'nice', 'cute', 'simple', 'lovely', 'pretty'];
export const shapeWords = /** @type {Record<string, string[]>} */ ({
  cross: ['cross', 'cross', 'plus sign'],
  moon: ['moon', 'moon', 'crescent moon'],
  cup: ['cup', 'cup', 'mug'],
  boat: ['boat', 'boat', 'sailboat'],
  smiley: ['smiley', 'smiley', 'smiley face'],
  circle: ['circle', 'circle', 'disc'],
});
const styleWords = {
  flat: {
    before: ['a flat drawing of', 'a flat icon of', 'a picture of', 'a drawing of', 'an image of'],
    after: ['flat style', 'flat design', 'flat'],
  },
  outline: {
    before: [
      'an outline drawing of',
      'an outline drawing of',
      'the outline of',
      'a line drawing of',
      'an outlined picture of',
    ],
    after: ['outline', 'outline style', 'line art'],
  },
  soft: {
    before: ['a soft shaded drawing of', 'a softly shaded', 'a shaded picture of', 'a soft shaded'],
    after: ['soft shaded', 'soft shading', 'shaded style'],
  },
};
const relationWords = {
  above: {
    forward: ['above', 'above', 'above', 'over', 'on top of'],
    backward: ['below', 'below', 'below', 'under', 'beneath'],
  },
  'left of': {
    forward: ['left of', 'to the left of', 'to the left of', 'on the left of'],
    backward: ['right of', 'to the right of', 'to the right of', 'on the right of'],
  },
  inside: {
    forward: ['inside', 'inside', 'inside', 'in', 'within'],
    backward: ['around', 'with', 'containing'],
  },
};

/** @param {Random} random @param {SceneObject} object @param {{article: boolean, size: number}} options */
function describeObject(random, object, { article, size }) {
  const words = [];
  if (random() < 0.04) words.push(pick(random, fillers));
  if (random() < (object.size === 'medium' ? 0.25 : 1) * size)
    words.push(pick(random, sizeWords[object.size]));
  words.push(object.colour, pick(random, shapeWords[object.shape] ?? [object.shape]));
  const text = words.join(' ');
  return article ? `${/^[aeiou]/.test(text) ? 'an' : 'a'} ${text}` : text;
}

/** @param {Random} random @param {Scene} scene @param {boolean} article */
function describeContent(random, scene, article) {
  const [first, second] = scene.objects;
  if (!second) return describeObject(random, first, { article, size: 0.7 });
  const one = describeObject(random, first, { article, size: 0.5 });
  const two = describeObject(random, second, { article, size: 0.5 });
  const relation = /** @type {import('./scene.mjs').Relation} */ (scene.relation);
  const words = relationWords[relation];
  if (random() < 0.6) return `${one} ${pick(random, words.forward)} ${two}`;
  const backward = pick(random, words.backward);
  if (backward === 'with') return `${two} with ${one} inside`;
  return `${two} ${backward} ${one}`;
}

/** The background of a scene whose caption names none. */
export function defaultBackground(/** @type {{objects: {colour: string}[]}} */ scene) {
  return scene.objects.some((object) => object.colour === 'white') ? 'gray' : 'white';
}

/**
 * Writes a caption for a scene. With `complete`, it always names colours, style and background.
 * @param {Scene} scene @param {Random | number} source a random function or a seed @param {{complete?: boolean}} [options]
 */
export function describeScene(scene, source, { complete = false } = {}) {
  const random = typeof source === 'number' ? createRandom(source) : source;
  const article = random() < 0.8;
  let text = describeContent(random, scene, article);
  const named = scene.style !== 'flat' || random() < 0.3;
  const words = styleWords[scene.style];
  const styleAtEnd = named && random() < 0.5;
  if (named && !styleAtEnd) {
    const before = pick(random, words.before);
    text = /(shaded)$/.test(before) ? `${before} ${text.replace(/^an? /, '')}` : `${before} ${text}`;
  }
  const silent = !complete && scene.background === defaultBackground(scene) && random() < 0.6;
  if (!silent) {
    const colour = scene.background;
    const an = /^[aeiou]/.test(colour) ? 'an' : 'a';
    const form = random();
    if (form < 0.55) text = `${text} on ${an} ${colour} background`;
    else if (form < 0.75) text = `${text}, ${colour} background`;
    else if (form < 0.85) text = `${text} on ${colour}`;
    else if (form < 0.93) text = `${text} against ${an} ${colour} background`;
    else text = `${colour} background, ${text}`;
  }
  if (styleAtEnd) text = `${text}, ${pick(random, words.after)}`;
  return text;
}
