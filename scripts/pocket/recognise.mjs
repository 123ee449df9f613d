// Finds background, objects, colours and relation in a picture from its pixels alone: colours by distance to the
// palette (with its shades), shapes by comparison with drawn templates. Three readings compete: one object, two
// objects side by side, one inside the other.
import { containerNames, drawScene, palette, pictureSize, shapeNames } from './scene.mjs';

/** @typedef {{shape: string, colour: string, outline: boolean, similarity: number}} Found */
/** @typedef {{background: string, objects: Found[], relation?: import('./scene.mjs').Relation}} Recognised */

const size = pictureSize;
const area = size * size;
const colours = Object.keys(palette);

// ------------------------------------------------------------------------------------------ colours

/** Each colour with the shades that soft shading and tints make of it, from dark to light. */
const shades = colours.map((name) =>
  [-1.3, -1, -0.66, -0.33, 0, 0.33, 0.66, 1, 1.3].map((light) =>
    palette[name].map((v) => (light > 0 ? v + (255 - v) * 0.3 * light : v * (1 + 0.34 * light))),
  ),
);

/** @param {Uint8Array} pixels @param {number} at index of the pixel @param {number[]} colour */
const distance = (pixels, at, colour) =>
  Math.hypot(pixels[at * 3] - colour[0], pixels[at * 3 + 1] - colour[1], pixels[at * 3 + 2] - colour[2]);

/** @param {Uint8Array} pixels */
function findBackground(pixels) {
  const votes = new Float32Array(colours.length);
  /** @type {number[][]} */
  const members = colours.map(() => []);
  for (let i = 0; i < size; i++) {
    for (const at of [
      i,
      size + i,
      (size - 1) * size + i,
      (size - 2) * size + i,
      i * size,
      i * size + 1,
      i * size + size - 1,
      i * size + size - 2,
    ]) {
      let best = 0;
      for (let c = 1; c < colours.length; c++) {
        if (distance(pixels, at, palette[colours[c]]) < distance(pixels, at, palette[colours[best]]))
          best = c;
      }
      votes[best]++;
      members[best].push(at);
    }
  }
  const winner = votes.indexOf(Math.max(...votes));
  const middle = [0, 1, 2].map((c) => {
    const sorted = members[winner].map((at) => pixels[at * 3 + c]).sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  });
  return { name: colours[winner], rgb: middle };
}

/** For each pixel the index of the object colour that explains it best, and how badly (RGB distance). */
function labelColours(/** @type {Uint8Array} */ pixels, /** @type {Uint8Array} */ mask) {
  const labels = new Uint8Array(area);
  const errors = new Float32Array(area);
  for (let at = 0; at < area; at++) {
    if (!mask[at]) continue;
    let best = Infinity;
    for (let c = 0; c < colours.length; c++) {
      if (colours[c] === 'gray') continue;
      for (const shade of shades[c]) {
        const d = distance(pixels, at, shade);
        if (d < best) [best, labels[at]] = [d, c];
      }
    }
    errors[at] = best;
  }
  return { labels, errors };
}

// ------------------------------------------------------------------------------------------ masks

/** @typedef {{x0: number, y0: number, x1: number, y1: number}} Box  x1 and y1 are past the end */

/** @param {Uint8Array} mask @returns {Box | undefined} */
function boxOf(mask) {
  const box = { x0: size, y0: size, x1: 0, y1: 0 };
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (!mask[y * size + x]) continue;
      box.x0 = Math.min(box.x0, x);
      box.x1 = Math.max(box.x1, x + 1);
      box.y0 = Math.min(box.y0, y);
      box.y1 = Math.max(box.y1, y + 1);
    }
  }
  return box.x1 > box.x0 ? box : undefined;
}

const count = (/** @type {Uint8Array} */ mask) => mask.reduce((sum, v) => sum + v, 0);

/** 8-connected pieces of at least `least` pixels, largest first. @param {Uint8Array} mask @param {number} least */
function piecesOf(mask, least) {
  const seen = new Uint8Array(area);
  /** @type {Uint8Array[]} */
  const pieces = [];
  for (let start = 0; start < area; start++) {
    if (!mask[start] || seen[start]) continue;
    const queue = [start];
    seen[start] = 1;
    for (let q = 0; q < queue.length; q++) {
      const x = queue[q] % size;
      const y = (queue[q] - x) / size;
      for (let j = Math.max(0, y - 1); j <= Math.min(size - 1, y + 1); j++) {
        for (let i = Math.max(0, x - 1); i <= Math.min(size - 1, x + 1); i++) {
          const at = j * size + i;
          if (mask[at] && !seen[at]) {
            seen[at] = 1;
            queue.push(at);
          }
        }
      }
    }
    if (queue.length < least) continue;
    const piece = new Uint8Array(area);
    for (const at of queue) piece[at] = 1;
    pieces.push(piece);
  }
  return pieces.sort((a, b) => count(b) - count(a));
}

/** @param {Uint8Array[]} masks */
function union(masks) {
  const all = new Uint8Array(area);
  for (const mask of masks) for (let at = 0; at < area; at++) all[at] |= mask[at];
  return all;
}

/** Fills the mask's holes: adds everything that the outside cannot reach. @param {Uint8Array} mask */
function fillHoles(mask) {
  const outside = new Uint8Array(area);
  const queue = [];
  const visit = (/** @type {number} */ at) => {
    if (!mask[at] && !outside[at]) {
      outside[at] = 1;
      queue.push(at);
    }
  };
  for (let i = 0; i < size; i++)
    for (const at of [i, area - size + i, i * size, i * size + size - 1]) visit(at);
  for (let q = 0; q < queue.length; q++) {
    const x = queue[q] % size;
    if (x > 0) visit(queue[q] - 1);
    if (x < size - 1) visit(queue[q] + 1);
    if (queue[q] >= size) visit(queue[q] - size);
    if (queue[q] < area - size) visit(queue[q] + size);
  }
  return outside.map((v) => 1 - v);
}

/** @param {Uint8Array} mask @param {number} times */
function erode(mask, times) {
  let current = mask;
  for (let t = 0; t < times; t++) {
    const next = new Uint8Array(area);
    for (let y = 1; y < size - 1; y++) {
      for (let x = 1; x < size - 1; x++) {
        const at = y * size + x;
        next[at] = current[at] & current[at - 1] & current[at + 1] & current[at - size] & current[at + size];
      }
    }
    current = next;
  }
  return current;
}

// ------------------------------------------------------------------------------------------ shapes

const grid = 24;

/** A mask's box scaled to a square grid, as coverage 0..1, lightly blurred. @param {Uint8Array} mask @param {Box} box */
function normalise(mask, box) {
  const side = Math.max(box.x1 - box.x0, box.y1 - box.y0);
  const left = (box.x0 + box.x1 - side) / 2;
  const top = (box.y0 + box.y1 - side) / 2;
  const cells = new Float32Array(grid * grid);
  const fine = 4;
  for (let j = 0; j < grid * fine; j++) {
    const y = Math.floor(top + ((j + 0.5) * side) / (grid * fine));
    if (y < 0 || y >= size) continue;
    for (let i = 0; i < grid * fine; i++) {
      const x = Math.floor(left + ((i + 0.5) * side) / (grid * fine));
      if (x >= 0 && x < size)
        cells[Math.floor(j / fine) * grid + Math.floor(i / fine)] += mask[y * size + x] / (fine * fine);
    }
  }
  const blurred = new Float32Array(grid * grid);
  for (let y = 0; y < grid; y++) {
    for (let x = 0; x < grid; x++) {
      let sum = 0;
      for (let j = -1; j <= 1; j++) {
        for (let i = -1; i <= 1; i++) {
          const inside = y + j >= 0 && y + j < grid && x + i >= 0 && x + i < grid;
          if (inside) sum += (cells[(y + j) * grid + x + i] * (2 - Math.abs(i)) * (2 - Math.abs(j))) / 16;
        }
      }
      blurred[y * grid + x] = sum;
    }
  }
  return blurred;
}

/** @param {Float32Array} a @param {Float32Array} b */
function overlap(a, b) {
  let both = 0;
  let either = 0;
  for (let i = 0; i < a.length; i++) {
    both += Math.min(a[i], b[i]);
    either += Math.max(a[i], b[i]);
  }
  return both / either;
}

/** @param {Uint8Array} mask */
function describeMask(mask) {
  const box = boxOf(mask);
  return box && { detail: normalise(mask, box), silhouette: normalise(fillHoles(mask), box) };
}

/** @type {{shape: string, outline: boolean, detail: Float32Array, silhouette: Float32Array}[] | undefined} */
let templates;

function allTemplates() {
  templates ??= shapeNames.flatMap((shape) =>
    [
      ...[18, 30, 48].map((r) => ({ r, outline: false })),
      ...[17, 20, 24, 32, 48].map((r) => ({ r, outline: true })),
    ].map(({ r, outline }) => {
      const object = {
        shape,
        colour: 'black',
        size: /** @type {const} */ ('medium'),
        x: 64,
        y: 64,
        radius: r,
      };
      const pixels = drawScene({
        background: 'white',
        style: outline ? 'outline' : 'flat',
        objects: [object],
      });
      const mask = new Uint8Array(area);
      for (let at = 0; at < area; at++) mask[at] = pixels[at * 3] < 200 ? 1 : 0;
      return { shape, outline, ...describeMask(mask) };
    }),
  );
  return templates;
}

/** @param {Uint8Array} mask @param {readonly string[]} [among] */
function matchShape(mask, among) {
  const found = { shape: '', outline: false, similarity: 0 };
  const own = describeMask(mask);
  if (!own) return found;
  for (const template of allTemplates()) {
    if (among && !among.includes(template.shape)) continue;
    const similarity =
      0.5 * overlap(own.detail, template.detail) + 0.5 * overlap(own.silhouette, template.silhouette);
    if (similarity > found.similarity)
      Object.assign(found, { shape: template.shape, outline: template.outline, similarity });
  }
  return found;
}

// ------------------------------------------------------------------------------------------ readings

/** @typedef {{objects: Found[], relation?: import('./scene.mjs').Relation, score: number}} Reading */

/**
 * Recognises what a picture shows.
 * @param {Uint8Array} pixels RGB bytes of a picture of 128 x 128
 * @returns {Recognised}
 */
export function recognise(pixels) {
  const background = findBackground(pixels);
  const raw = new Uint8Array(area);
  for (let at = 0; at < area; at++) raw[at] = distance(pixels, at, background.rgb) > 34 ? 1 : 0;
  const pieces = piecesOf(raw, 6);
  if (pieces.length === 0) return { background: background.name, objects: [] };
  const mask = union(pieces);
  const { labels, errors } = labelColours(pixels, mask);

  /** @param {Uint8Array} part @param {readonly string[]} [among] @returns {Found} */
  const identify = (part, among) => ({ ...matchShape(part, among), colour: colourOf(part) });
  /** The colour of most pixels. Edges mix colours, so they count little. */
  const colourOf = (/** @type {Uint8Array} */ part) => {
    const votes = new Float32Array(colours.length);
    for (let at = 0; at < area; at++) {
      if (part[at] && colours[labels[at]] !== background.name) votes[labels[at]] += 1 / (8 + errors[at]) ** 2;
    }
    return colours[votes.indexOf(Math.max(...votes))];
  };

  const inside = readInside(mask, pieces, labels, background.name, identify);
  if (inside && inside.score > 0.9) return finish(inside);
  const readings = [
    readOne(mask, identify),
    ...readBeside(mask, identify, 'above'),
    ...readBeside(mask, identify, 'left of'),
  ];
  if (inside) readings.push(inside);
  return finish(readings.reduce((best, reading) => (reading.score > best.score ? reading : best)));

  /** @param {Reading} reading @returns {Recognised} */
  function finish({ objects, relation }) {
    return relation
      ? { background: background.name, objects, relation }
      : { background: background.name, objects };
  }
}

/** @typedef {(part: Uint8Array, among?: readonly string[]) => Found} Identify */

/** @param {Uint8Array} mask @param {Identify} identify @returns {Reading} */
function readOne(mask, identify) {
  const object = identify(mask);
  return { objects: [object], score: object.similarity };
}

/** Every empty row (or column) run of two or more is a candidate border between two objects.
 * @param {Uint8Array} mask @param {Identify} identify @param {'above' | 'left of'} relation @returns {Reading[]} */
function readBeside(mask, identify, relation) {
  const along = (/** @type {number} */ at) => (relation === 'above' ? Math.floor(at / size) : at % size);
  const filled = new Uint16Array(size);
  for (let at = 0; at < area; at++) if (mask[at]) filled[along(at)]++;
  const readings = [];
  for (let i = 1; i < size; i++) {
    if (filled[i] > 0 || filled[i - 1] === 0) continue;
    const end = filled.findIndex((n, k) => k > i && n > 0);
    if (end < 0) break;
    const parts = [
      mask.map((v, at) => (along(at) < i ? v : 0)),
      mask.map((v, at) => (along(at) >= i ? v : 0)),
    ];
    if (parts.some((part) => count(part) < 40)) continue;
    const objects = parts.map((part) => identify(part));
    const score =
      (objects[0].similarity + objects[1].similarity) / 2 -
      (objects[0].colour === objects[1].colour ? 0.02 : -0.03);
    readings.push({ objects, relation, score });
  }
  return readings;
}

/** @param {Uint8Array} mask @param {Uint8Array[]} pieces @param {Uint8Array} labels @param {string} background
 * @param {Identify} identify @returns {Reading | undefined} */
function readInside(mask, pieces, labels, background, identify) {
  // A ring or an outline around separate pieces.
  const outer = boxOf(pieces[0]);
  const widthOf = (/** @type {Uint8Array} */ piece) => {
    const box = boxOf(piece);
    return box ? box.x1 - box.x0 : 0;
  };
  // The inner line of an outlined ring belongs to the ring: no object inside another is that wide.
  const frames = pieces.filter((piece) => widthOf(piece) > 0.52 * widthOf(pieces[0]));
  const rest = pieces.filter((piece) => !frames.includes(piece));
  if (outer && rest.length > 0) {
    const inner = union(rest);
    const box = boxOf(inner);
    const within = box && box.x0 > outer.x0 && box.x1 < outer.x1 && box.y0 > outer.y0 && box.y1 < outer.y1;
    if (within && count(inner) >= 40) {
      const objects = [identify(inner), identify(union(frames), containerNames)];
      const bonus = objects[0].colour === objects[1].colour ? -0.04 : 0.06;
      return {
        objects,
        relation: 'inside',
        score: (objects[0].similarity + objects[1].similarity) / 2 + bonus,
      };
    }
  }
  // A filled shape under pieces of another colour.
  const filled = fillHoles(mask);
  const core = erode(filled, 3);
  const frame = filled.map((v, at) => v & (1 - core[at]));
  const container = identify(frame.some(Boolean) ? frame : filled).colour;
  const inner = core.map((v, at) =>
    v && mask[at] && colours[labels[at]] !== container && colours[labels[at]] !== background ? 1 : 0,
  );
  const parts = piecesOf(inner, 8);
  if (parts.length === 0) return undefined;
  const other = union(parts);
  if (count(other) < 90 || count(other) > 0.6 * count(filled)) return undefined;
  const objects = [identify(other), { ...identify(filled, containerNames), colour: container }];
  const colourful = objects[0].colour !== container;
  const sound = colourful && objects[1].similarity > 0.85 && objects[0].similarity > 0.6;
  return { objects, relation: 'inside', score: sound ? 2 : 0 };
}
