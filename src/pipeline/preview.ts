// Previews without decoding. Colours are nearly linear in a latent's channels, so a small matrix turns one into the other.
// The matrix is fitted to the loaded autoencoder, first on a colour chart, then on every finished picture, so it suits
// every model.
import type { Autoencoder, Pixels } from '../native/addon.js';

/** Pixels of a preview for each latent cell, in each direction. */
const ENLARGEMENT = 4;
/** Weight of the chart, which has more colours than a picture of its size. */
const CHART_WEIGHT = 3;
/** With more channels than this, products of two channels add little and cost much. */
const MAX_CHANNELS_WITH_PRODUCTS = 4;

export class LatentColours {
  readonly #factor: number;
  /** [A | B] of the normal equations: features by features, and features by red, green and blue. */
  readonly #sums: Float64Array[];
  /** For red, green and blue the factor of each feature. */
  #colours: Float64Array[] = [];

  private constructor(channels: number, factor: number) {
    this.#factor = factor;
    const size = readFeatures(new Float32Array(channels), 0, 1).length;
    this.#sums = Array.from({ length: size }, (_, i) => {
      const row = new Float64Array(size + 3);
      row[i] = 1e-3; // keeps the factors of channels without information at 0
      return row;
    });
  }

  /** Fits the matrix to a colour chart that goes through the autoencoder. */
  static async fit(autoencoder: Autoencoder, channels: number, factor: number): Promise<LatentColours> {
    const colours = new LatentColours(channels, factor);
    const { mean } = await autoencoder.encode(drawChart(channels > 16 ? 32 : 16, factor));
    colours.learn(mean.data, await autoencoder.decode(mean), CHART_WEIGHT);
    return colours;
  }

  /** Improves the fit with a latent and the picture that the autoencoder decoded it to. */
  learn(latent: Float32Array, picture: Pixels, weight = 1): void {
    const size = this.#sums.length;
    const columns = picture.width / this.#factor;
    const cells = columns * (picture.height / this.#factor);
    for (let cell = 0; cell < cells; cell++) {
      const features = readFeatures(latent, cell, cells);
      const values = [...features, ...averageCell(picture, cell, columns, this.#factor)];
      for (let i = 0; i < size; i++)
        for (let j = 0; j < size + 3; j++) this.#sums[i]![j]! += weight * features[i]! * values[j]!;
    }
    const solved = solve(this.#sums.map((row) => row.slice()));
    this.#colours = [0, 1, 2].map((c) => Float64Array.from(solved, (row) => row[size + c]!));
  }

  /** Draws a small picture of a denoised latent [channels, rows, columns]. */
  render(latent: Float32Array, rows: number, columns: number): Pixels {
    const cells = rows * columns;
    const small = new Float32Array(cells * 3);
    for (let cell = 0; cell < cells; cell++) {
      const features = readFeatures(latent, cell, cells);
      for (const [c, factors] of this.#colours.entries())
        small[cell * 3 + c] = features.reduce((sum, value, i) => sum + value * factors[i]!, 0);
    }
    return enlarge(small, rows, columns);
  }
}

/** The features of a cell: 1, its channels, and the products of two if there are few channels. */
function readFeatures(latent: Float32Array, cell: number, cells: number): number[] {
  const channels = Array.from({ length: latent.length / cells }, (_, c) => latent[c * cells + cell]!);
  if (channels.length > MAX_CHANNELS_WITH_PRODUCTS) return [1, ...channels];
  return [1, ...channels, ...channels.flatMap((a, i) => channels.slice(i).map((b) => a * b))];
}

/** Draws shaded patches of many colours, four cells wide. */
function drawChart(cells: number, factor: number): Pixels {
  const side = cells * factor;
  const rgb = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const patch = Math.floor(y / (4 * factor)) * cells + Math.floor(x / (4 * factor));
      const shade = (x + y) / (2 * side) - 0.5;
      for (let c = 0; c < 3; c++) {
        // multiples of irrational numbers spread evenly over the colour cube
        const base = (patch * [0.8191725, 0.6710436, 0.5497005][c]! + 0.5) % 1;
        rgb[(y * side + x) * 3 + c] = Math.max(0, Math.min(255, 255 * base + 64 * shade));
      }
    }
  return { rgb, width: side, height: side };
}

function averageCell(picture: Pixels, cell: number, columns: number, factor: number): number[] {
  const sums = [0, 0, 0];
  const top = Math.floor(cell / columns) * factor;
  const left = (cell % columns) * factor;
  for (let y = top; y < top + factor; y++)
    for (let x = left; x < left + factor; x++)
      for (let c = 0; c < 3; c++) sums[c]! += picture.rgb[(y * picture.width + x) * 3 + c]!;
  return sums.map((sum) => sum / factor ** 2);
}

/** Solves A x = B by Gauss-Jordan elimination with pivoting on [A | B]; the solution takes the place of B. */
function solve(rows: Float64Array[]): Float64Array[] {
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column + 1; i < size; i++)
      if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const head = rows[column]!;
    const scale = head[column]!;
    for (let j = column; j < head.length; j++) head[j]! /= scale;
    for (const row of rows) {
      const share = row[column]!;
      if (row === head || share === 0) continue;
      for (let j = column; j < row.length; j++) row[j]! -= share * head[j]!;
    }
  }
  return rows;
}

/** Enlarges bilinearly. */
function enlarge(small: Float32Array, rows: number, columns: number): Pixels {
  const width = columns * ENLARGEMENT;
  const height = rows * ENLARGEMENT;
  const rgb = new Uint8ClampedArray(width * height * 3);
  const locate = (at: number, count: number): [number, number, number] => {
    const position = Math.min(Math.max((at + 0.5) / ENLARGEMENT - 0.5, 0), count - 1);
    const low = Math.floor(position);
    return [low, Math.min(low + 1, count - 1), position - low];
  };
  for (let y = 0; y < height; y++) {
    const [top, bottom, down] = locate(y, rows);
    for (let x = 0; x < width; x++) {
      const [left, right, across] = locate(x, columns);
      for (let c = 0; c < 3; c++) {
        const at = (row: number, column: number) => small[(row * columns + column) * 3 + c]!;
        const upper = at(top, left) * (1 - across) + at(top, right) * across;
        const lower = at(bottom, left) * (1 - across) + at(bottom, right) * across;
        rgb[(y * width + x) * 3 + c] = upper * (1 - down) + lower * down;
      }
    }
  }
  return { rgb: new Uint8Array(rgb.buffer), width, height };
}
