// Scenes for the embedded model `pocket`: what a picture contains and how it is drawn. Everything follows from a seed. The
// model learns from these pictures and their captions, the evaluator from the shapes.
import { layerAt, shapeNames } from './shapes.mjs';

export { shapeNames };

/** @typedef {[number, number, number]} Rgb */
/** @typedef {'flat' | 'outline' | 'soft'} Style */
/** @typedef {'above' | 'left of' | 'inside'} Relation  of the first object to the second */
/** @typedef {{shape: string, colour: string, size: 'small' | 'medium' | 'large', x: number, y: number, radius: number}} SceneObject */
/** @typedef {{background: string, style: Style, objects: SceneObject[], relation?: Relation}} Scene */

export const pictureSize = 128;

/** @type {Record<string, Rgb>} */
export const palette = {
  red: [222, 38, 38],
  orange: [250, 138, 18],
  yellow: [252, 222, 50],
  green: [38, 160, 72],
  blue: [38, 84, 218],
  purple: [132, 48, 172],
  pink: [252, 152, 196],
  brown: [118, 68, 34],
  gray: [150, 150, 156],
  white: [250, 250, 250],
  black: [24, 24, 28],
};
export const colourNames = Object.keys(palette).filter((name) => name !== 'gray');
export const backgroundNames = Object.keys(palette).filter((name) => name !== 'brown');
/** @type {Style[]} */
export const styleNames = ['flat', 'outline', 'soft'];
/** @type {Relation[]} */
export const relationNames = ['above', 'left of', 'inside'];
/** Shapes with room for another object in the middle. */
export const containerNames = ['circle', 'square', 'triangle', 'heart', 'ring', 'cloud'];

/** The second tint of a colour: darker, or lighter if the colour itself is dark. @returns {Rgb} */
export function tintOf(/** @type {string} */ colour) {
  const [r, g, b] = palette[colour];
  if (colour === 'white') return [190, 202, 218];
  if (['blue', 'purple', 'brown', 'black'].includes(colour)) {
    return /** @type {Rgb} */ ([r, g, b].map((v) => Math.round(v + (255 - v) * 0.36)));
  }
  return /** @type {Rgb} */ ([r, g, b].map((v) => Math.round(v * 0.66)));
}

/** Mulberry32: numbers in [0, 1) from a 32-bit seed. */
export function createRandom(/** @type {number} */ seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** @typedef {() => number} Random */
/** @template T @param {Random} random @param {readonly T[]} list @returns {T} */
const pick = (random, list) => list[Math.floor(random() * list.length)];
/** @param {Random} random @param {number} low @param {number} high */
const between = (random, low, high) => low + (high - low) * random();

// ------------------------------------------------------------------------------------------ held-out rule

/** FNV-1a. */
function hash(/** @type {string} */ text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 15;
  return Math.imul(h, 0x2c1b3c6d) >>> 0;
}

/** True for the 8 % of combinations (first object and background, or both objects and relation) that training never sees. */
export function isHeldOut(/** @type {Scene} */ scene) {
  const parts = scene.objects.flatMap((object) => [object.shape, object.colour]);
  return hash([...parts, scene.relation ?? '', scene.background].join('|')) % 100 < 8;
}

// ------------------------------------------------------------------------------------------ random scenes

const singleRadius = { small: [25, 28], medium: [35, 39], large: [46, 52] };
const pairRadius = { small: [19.5, 21.5], medium: [24.5, 26.5], large: [30, 32] };
/** @type {('small' | 'medium' | 'large')[]} */
const sizeNames = ['small', 'medium', 'large'];
const margin = 3;

/**
 * Makes a random scene. `fixed` holds what is not left to chance: `count` of objects, `relation`, `style`, `background`.
 * @param {Random} random
 * @param {{count?: 1 | 2, relation?: Relation, style?: Style, background?: string}} [fixed]
 * @returns {Scene}
 */
export function randomScene(random, fixed = {}) {
  const count = fixed.count ?? (random() < 0.4 ? 1 : 2);
  const background = fixed.background ?? pick(random, backgroundNames);
  const style = fixed.style ?? (random() < 0.5 ? 'flat' : random() < 0.5 ? 'outline' : 'soft');
  const colours = colourNames.filter((name) => name !== background);
  if (count === 1) {
    const size = pick(random, sizeNames);
    const radius = between(random, singleRadius[size][0], singleRadius[size][1]);
    const spread = Math.min(12, pictureSize / 2 - radius - margin);
    const x = pictureSize / 2 + between(random, -spread, spread);
    const y = pictureSize / 2 + between(random, -spread, spread);
    return {
      background,
      style,
      objects: [{ shape: pick(random, shapeNames), colour: pick(random, colours), size, x, y, radius }],
    };
  }
  const relation = fixed.relation ?? pick(random, relationNames);
  const first = { shape: pick(random, shapeNames), colour: pick(random, colours) };
  const second = { shape: pick(random, shapeNames), colour: pick(random, colours) };
  if (relation === 'inside') {
    second.shape = pick(random, containerNames);
    second.colour = pick(
      random,
      colours.filter((name) => name !== first.colour),
    );
    return { background, style, relation, objects: placeInside(random, first, second) };
  }
  return { background, style, relation, objects: placeBeside(random, relation, first, second) };
}

/** @param {Random} random @param {{shape: string, colour: string}} first @param {{shape: string, colour: string}} second @returns {SceneObject[]} */
function placeInside(random, first, second) {
  const radius = between(random, 51, 55);
  const x = pictureSize / 2 + between(random, -5, 5);
  const y = pictureSize / 2 + between(random, -5, 5);
  const inner = between(random, 22, 24);
  const drop = { triangle: 0.24, cloud: 0.12, heart: -0.08 }[second.shape] ?? 0;
  return [
    {
      ...first,
      size: 'small',
      radius: inner,
      x: x + between(random, -1.5, 1.5),
      y: y + drop * radius + between(random, -1.5, 1.5),
    },
    { ...second, size: 'large', radius, x, y },
  ];
}

/** @param {Random} random @param {Relation} relation @param {{shape: string, colour: string}} first @param {{shape: string, colour: string}} second @returns {SceneObject[]} */
function placeBeside(random, relation, first, second) {
  let sizes = [pick(random, sizeNames), pick(random, sizeNames)];
  while (sizes[0] === 'large' && sizes[1] === 'large')
    sizes = [pick(random, sizeNames), pick(random, sizeNames)];
  const radii = sizes.map((size) => between(random, pairRadius[size][0], pairRadius[size][1]));
  const slack = pictureSize - 2 * margin - 2 * (radii[0] + radii[1]);
  const gap = Math.min(slack, between(random, 4, 4 + slack * 0.4));
  const start = margin + between(random, 0.25, 0.75) * (slack - gap);
  const along = [start + radii[0], start + 2 * radii[0] + gap + radii[1]];
  const across = radii.map(
    (radius) => pictureSize / 2 + between(random, -1, 1) * Math.min(8, pictureSize / 2 - radius - margin),
  );
  return [first, second].map((object, i) => ({
    ...object,
    size: sizes[i],
    radius: radii[i],
    x: relation === 'above' ? across[i] : along[i],
    y: relation === 'above' ? along[i] : across[i],
  }));
}

// ------------------------------------------------------------------------------------------ drawing

const scale = 2; // each pixel is the mean of scale * scale samples
const strokeWidth = 3.6;

/** Draws a scene: RGB bytes, row by row, pictureSize squared. @returns {Uint8Array} */
export function drawScene(/** @type {Scene} */ scene) {
  const n = pictureSize * scale;
  const ground = palette[scene.background];
  const pixels = new Uint8Array(pictureSize * pictureSize * 3);
  for (let i = 0; i < 3; i++) pixels[i] = ground[i];
  for (let filled = 3; filled < pixels.length; filled *= 2) pixels.copyWithin(filled, 0, filled);
  // Only the rows and columns that objects cover are sampled.
  const low = (/** @type {'x' | 'y'} */ axis) =>
    Math.floor(Math.min(...scene.objects.map((o) => o[axis] - o.radius)) - 1);
  const high = (/** @type {'x' | 'y'} */ axis) =>
    Math.ceil(Math.max(...scene.objects.map((o) => o[axis] + o.radius)) + 1);
  const [x0, x1] = [Math.max(0, low('x')), Math.min(pictureSize, high('x'))];
  const [y0, y1] = [Math.max(0, low('y')), Math.min(pictureSize, high('y'))];
  const samples = new Float32Array(n * n * 3);
  for (let y = y0 * scale; y < y1 * scale; y++) {
    for (let i = (y * n + x0 * scale) * 3; i < (y * n + x1 * scale) * 3; i += 3) {
      samples[i] = ground[0];
      samples[i + 1] = ground[1];
      samples[i + 2] = ground[2];
    }
  }
  // With the relation "inside", the second object is the container, so it is drawn first.
  const order = scene.relation === 'inside' ? [...scene.objects].reverse() : scene.objects;
  for (const object of order) drawObject(samples, n, object, scene.style);
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const at = (y * scale * n + x * scale) * 3;
      for (let c = 0; c < 3; c++) {
        const sum =
          samples[at + c] + samples[at + c + 3] + samples[at + c + n * 3] + samples[at + c + n * 3 + 3];
        pixels[(y * pictureSize + x) * 3 + c] = Math.round(sum / (scale * scale));
      }
    }
  }
  return pixels;
}

/** @param {Float32Array} samples @param {number} n @param {SceneObject} object @param {Style} style */
function drawObject(samples, n, object, style) {
  const x0 = Math.max(0, Math.floor((object.x - object.radius) * scale) - 1);
  const y0 = Math.max(0, Math.floor((object.y - object.radius) * scale) - 1);
  const width = Math.min(n, Math.ceil((object.x + object.radius) * scale) + 1) - x0;
  const height = Math.min(n, Math.ceil((object.y + object.radius) * scale) + 1) - y0;
  const layers = new Uint8Array(width * height);
  const unit = (/** @type {number} */ at, /** @type {number} */ centre) =>
    ((at + 0.5) / scale - centre) / object.radius;
  for (let j = 0; j < height; j++) {
    for (let i = 0; i < width; i++) {
      layers[j * width + i] = layerAt(object.shape, unit(x0 + i, object.x), unit(y0 + j, object.y));
    }
  }
  const edge = style === 'outline' ? distanceToEdge(layers, width, height) : undefined;
  const main = palette[object.colour];
  const tint = tintOf(object.colour);
  for (let j = 0; j < height; j++) {
    for (let i = 0; i < width; i++) {
      const layer = layers[j * width + i];
      if (layer === 0 || (edge && edge[j * width + i] > strokeWidth * scale - 1)) continue;
      const colour = layer === 1 || edge ? main : tint;
      const light = style === 'soft' ? -0.7 * (unit(x0 + i, object.x) + unit(y0 + j, object.y)) : 0;
      const offset = ((y0 + j) * n + x0 + i) * 3;
      for (let c = 0; c < 3; c++) samples[offset + c] = shade(colour[c], Math.max(-1, Math.min(1, light)));
    }
  }
}

/** Soft shading: light in -1..1 moves a colour towards black or white. @param {number} value @param {number} light */
function shade(value, light) {
  return light > 0 ? value + (255 - value) * 0.3 * light : value * (1 + 0.34 * light);
}

/** Chamfer distance in samples from each sample to the nearest change of layer (0 at the change itself). */
function distanceToEdge(
  /** @type {Uint8Array} */ layers,
  /** @type {number} */ width,
  /** @type {number} */ height,
) {
  const distance = new Float32Array(width * height).fill(1e6);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const own = layers[at];
      if (
        x === 0 ||
        y === 0 ||
        x === width - 1 ||
        y === height - 1 ||
        layers[at - 1] !== own ||
        layers[at + 1] !== own ||
        layers[at - width] !== own ||
        layers[at + width] !== own
      ) {
        distance[at] = 0;
      }
    }
  }
  const relax = (/** @type {number} */ at, /** @type {number} */ from, /** @type {number} */ step) => {
    if (distance[from] + step < distance[at]) distance[at] = distance[from] + step;
  };
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      relax(at, at - 1, 1);
      relax(at, at - width, 1);
      relax(at, at - width - 1, Math.SQRT2);
      relax(at, at - width + 1, Math.SQRT2);
    }
  }
  for (let y = height - 2; y > 0; y--) {
    for (let x = width - 2; x > 0; x--) {
      const at = y * width + x;
      relax(at, at + 1, 1);
      relax(at, at + width, 1);
      relax(at, at + width + 1, Math.SQRT2);
      relax(at, at + width - 1, Math.SQRT2);
    }
  }
  return distance;
}
