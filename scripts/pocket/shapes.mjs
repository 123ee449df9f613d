// The shapes that `pocket` can draw. Each is a function of a point in the unit box (x right, y down, both in -1..1) that
// returns which layer covers it: 0 none, 1 the main colour, 2 a tint of the main colour.

/** @typedef {(x: number, y: number) => 0 | 1 | 2} Layer */

/** @param {number} x @param {number} y @param {number} cx @param {number} cy @param {number} rx @param {number} [ry] */
const ellipse = (x, y, cx, cy, rx, ry = rx) => ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1;

/** @param {number} x @param {number} y @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 */
const box = (x, y, x0, y0, x1, y1) => x >= x0 && x <= x1 && y >= y0 && y <= y1;

/** Even-odd rule. @param {number} x @param {number} y @param {number[][]} points */
function polygon(x, y, points) {
  let inside = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [xi, yi] = points[i];
    const [xj, yj] = points[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** @param {number} count @param {number} inner */
const starPoints = (count, inner) =>
  Array.from({ length: 2 * count }, (_, i) => {
    const radius = i % 2 === 0 ? 1 : inner;
    const angle = (Math.PI * i) / count - Math.PI / 2;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });

const fivePointed = starPoints(5, 0.42);

/** @type {Record<string, Layer>} */
export const shapes = {
  circle: (x, y) => (ellipse(x, y, 0, 0, 0.95) ? 1 : 0),
  square: (x, y) => (box(x, y, -0.85, -0.85, 0.85, 0.85) ? 1 : 0),
  triangle: (x, y) =>
    polygon(x, y, [
      [0, -0.9],
      [1, 0.8],
      [-1, 0.8],
    ])
      ? 1
      : 0,
  star: (x, y) => (polygon(x, y + 0.05, fivePointed) ? 1 : 0),
  heart: (x, y) => {
    const u = x * 1.18;
    const v = 0.22 - y * 1.18;
    return (u * u + v * v - 1) ** 3 - u * u * v * v * v <= 0 ? 1 : 0;
  },
  ring: (x, y) => (ellipse(x, y, 0, 0, 0.97) && !ellipse(x, y, 0, 0, 0.6) ? 1 : 0),
  cross: (x, y) => (box(x, y, -0.3, -0.95, 0.3, 0.95) || box(x, y, -0.95, -0.3, 0.95, 0.3) ? 1 : 0),
  moon: (x, y) => (ellipse(x, y, 0, 0, 0.97) && !ellipse(x, y, 0.52, -0.12, 0.78) ? 1 : 0),
  cloud: (x, y) =>
    ellipse(x, y, -0.52, 0.18, 0.45) ||
    ellipse(x, y, -0.05, -0.18, 0.52) ||
    ellipse(x, y, 0.52, 0.17, 0.46) ||
    box(x, y, -0.52, 0, 0.52, 0.62)
      ? 1
      : 0,
  sun: (x, y) => {
    const radius = Math.hypot(x, y);
    if (radius <= 0.56) return 1;
    const step = Math.PI / 4;
    const angle = Math.atan2(y, x);
    const offset = Math.abs(angle - Math.round(angle / step) * step) * radius;
    return radius >= 0.66 && radius <= 1 && offset <= 0.1 ? 2 : 0;
  },
  tree: (x, y) => {
    const upper = [
      [0, -1],
      [0.58, -0.12],
      [-0.58, -0.12],
    ];
    const lower = [
      [0, -0.55],
      [0.82, 0.55],
      [-0.82, 0.55],
    ];
    if (polygon(x, y, upper) || polygon(x, y, lower)) return 1;
    return box(x, y, -0.16, 0.5, 0.16, 1) ? 2 : 0;
  },
  house: (x, y) => {
    if (box(x, y, -0.17, 0.35, 0.17, 0.9)) return 2;
    if (box(x, y, -0.68, -0.1, 0.68, 0.9)) return 1;
    const roof = [
      [0, -0.95],
      [1, -0.08],
      [-1, -0.08],
    ];
    return polygon(x, y, roof) ? 2 : 0;
  },
  flower: (x, y) => {
    if (ellipse(x, y, 0, 0, 0.3)) return 2;
    for (let i = 0; i < 6; i++) {
      const angle = (i * Math.PI) / 3 + Math.PI / 6;
      if (ellipse(x, y, 0.6 * Math.cos(angle), 0.6 * Math.sin(angle), 0.36)) return 1;
    }
    return 0;
  },
  fish: (x, y) => {
    if (ellipse(x, y, -0.58, -0.12, 0.12)) return 0;
    if (ellipse(x, y, -0.22, 0, 0.76, 0.52)) return 1;
    const tail = [
      [0.3, 0],
      [1, -0.55],
      [0.85, 0],
      [1, 0.55],
    ];
    return polygon(x, y, tail) ? 2 : 0;
  },
  boat: (x, y) => {
    const hull = [
      [-1, 0.35],
      [1, 0.35],
      [0.62, 0.9],
      [-0.62, 0.9],
    ];
    if (polygon(x, y, hull)) return 1;
    const mainsail = [
      [0.08, -0.95],
      [0.08, 0.24],
      [0.8, 0.24],
    ];
    const jib = [
      [-0.08, -0.75],
      [-0.08, 0.24],
      [-0.66, 0.24],
    ];
    return polygon(x, y, mainsail) || polygon(x, y, jib) ? 2 : 0;
  },
  car: (x, y) => {
    if (ellipse(x, y, -0.52, 0.5, 0.26) || ellipse(x, y, 0.52, 0.5, 0.26)) return 2;
    if (box(x, y, -0.42, -0.36, -0.06, -0.06) || box(x, y, 0.06, -0.36, 0.4, -0.06)) return 0;
    const cabin = [
      [-0.62, 0.02],
      [-0.48, -0.55],
      [0.42, -0.55],
      [0.66, 0.02],
    ];
    return box(x, y, -1, -0.02, 1, 0.5) || polygon(x, y, cabin) ? 1 : 0;
  },
  cup: (x, y) => {
    if (box(x, y, -0.85, -0.75, 0.42, -0.5)) return 2;
    const body = [
      [-0.85, -0.55],
      [0.42, -0.55],
      [0.28, 0.85],
      [-0.71, 0.85],
    ];
    if (polygon(x, y, body)) return 1;
    return x > 0.3 && ellipse(x, y, 0.48, 0.08, 0.5, 0.46) && !ellipse(x, y, 0.48, 0.08, 0.27, 0.23) ? 1 : 0;
  },
  key: (x, y) => {
    if (ellipse(x, y, -0.52, 0, 0.2)) return 0;
    if (ellipse(x, y, -0.52, 0, 0.46)) return 1;
    return box(x, y, -0.2, -0.12, 1, 0.12) || box(x, y, 0.44, 0, 0.62, 0.42) || box(x, y, 0.8, 0, 1, 0.42)
      ? 1
      : 0;
  },
  mushroom: (x, y) => {
    if (y <= 0.12 && ellipse(x, y, 0, 0.12, 0.98, 1)) {
      const spot =
        ellipse(x, y, -0.45, -0.18, 0.17) ||
        ellipse(x, y, 0.08, -0.5, 0.18) ||
        ellipse(x, y, 0.5, -0.12, 0.15);
      return spot ? 2 : 1;
    }
    return box(x, y, -0.27, 0.1, 0.27, 0.92) ? 2 : 0;
  },
  apple: (x, y) => {
    if (ellipse(x, y, -0.3, 0.2, 0.56, 0.72) || ellipse(x, y, 0.3, 0.2, 0.56, 0.72)) return 1;
    if (box(x, y, -0.07, -0.85, 0.07, -0.3)) return 2;
    return ellipse(x + 0.35 * (y + 0.75), y, 0.38, -0.75, 0.32, 0.16) ? 2 : 0;
  },
  leaf: (x, y) => {
    const along = (x - y) * Math.SQRT1_2; // the axis from bottom left to top right
    const across = (x + y) * Math.SQRT1_2;
    if (Math.abs(across) <= 0.055 && along >= -1.25 && along <= 0.6) return 2;
    return ellipse(along, across, 0.15, 0.62, 1.2) && ellipse(along, across, 0.15, -0.62, 1.2) ? 1 : 0;
  },
  umbrella: (x, y) => {
    const scallop =
      ellipse(x, y, -0.66, 0.05, 0.33, 0.18) ||
      ellipse(x, y, 0, 0.05, 0.33, 0.18) ||
      ellipse(x, y, 0.66, 0.05, 0.33, 0.18);
    if (y <= 0.05 && ellipse(x, y, 0, 0.05, 0.99, 0.95) && !scallop) return 1;
    if (box(x, y, -0.08, -0.15, 0.08, 0.72)) return 2;
    const hook = ellipse(x, y, 0.17, 0.72, 0.25) && !ellipse(x, y, 0.17, 0.72, 0.11);
    return hook && y >= 0.72 ? 2 : 0;
  },
  balloon: (x, y) => {
    if (ellipse(x, y, 0, -0.32, 0.56, 0.66)) return 1;
    const knot = [
      [0, 0.25],
      [0.16, 0.46],
      [-0.16, 0.46],
    ];
    if (polygon(x, y, knot)) return 1;
    return y > 0.4 && y <= 1 && Math.abs(x - 0.1 * Math.sin((y - 0.4) * 10)) <= 0.06 ? 2 : 0;
  },
  smiley: (x, y) => {
    if (!ellipse(x, y, 0, 0, 0.97)) return 0;
    if (ellipse(x, y, -0.34, -0.28, 0.14, 0.19) || ellipse(x, y, 0.34, -0.28, 0.14, 0.19)) return 0;
    return y > 0.12 && ellipse(x, y, 0, 0.12, 0.62, 0.56) && !ellipse(x, y, 0, 0.12, 0.62, 0.26) ? 0 : 1;
  },
};

export const shapeNames = Object.keys(shapes);

const gridSize = 256;
/** @type {Map<string, Uint8Array>} */
const grids = new Map();

/** The layer of a shape at a point of its unit box, from a table of 256 x 256. */
export function layerAt(/** @type {string} */ shape, /** @type {number} */ x, /** @type {number} */ y) {
  let grid = grids.get(shape);
  if (!grid) {
    grid = new Uint8Array(gridSize * gridSize);
    for (let j = 0; j < gridSize; j++) {
      for (let i = 0; i < gridSize; i++) {
        grid[j * gridSize + i] = shapes[shape](
          ((i + 0.5) * 2) / gridSize - 1,
          ((j + 0.5) * 2) / gridSize - 1,
        );
      }
    }
    grids.set(shape, grid);
  }
  const i = Math.floor(((x + 1) * gridSize) / 2);
  const j = Math.floor(((y + 1) * gridSize) / 2);
  return i >= 0 && j >= 0 && i < gridSize && j < gridSize ? grid[j * gridSize + i] : 0;
}
