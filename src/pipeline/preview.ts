// Previews: a latent's channels are close to linear in colour, so a small matrix shows what is coming. It is fitted
// to the loaded autoencoder on a colour chart, and thus right for every model, also for ones that nobody measured.
import type { Autoencoder, Pixels } from '../native/addon.js';

/** Colour [0, 255] = matrix * (channels, 1): for red, green and blue one row of channels + 1 factors. */
export type LatentColours = Float64Array[];

/** Preview pixels per latent cell and axis. */
const ENLARGEMENT = 4;

/** Encodes a chart and solves for the matrix by least squares. */
export async function fitColours(
  autoencoder: Autoencoder,
  factor: number,
  channels: number,
): Promise<LatentColours> {
  const cells = channels > 16 ? 32 : 16;
  const chart = drawChart(cells, factor);
  const { mean } = await autoencoder.encode(chart);
  const size = channels + 1;
  const normal = Array.from({ length: size }, () => new Float64Array(size + 3));
  for (let cell = 0; cell < cells * cells; cell++) {
    const features = readFeatures(mean.data, cell, channels, cells * cells);
    const values = [...features, ...averageCell(chart, cell, cells, factor)];
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size + 3; j++) normal[i]![j]! += features[i]! * values[j]!;
  }
  for (let i = 0; i < size; i++) normal[i]![i]! += 1e-3; // keeps unused channels at 0
  solve(normal);
  return [0, 1, 2].map((c) => Float64Array.from(normal, (row) => row[size + c]!));
}

/** A small picture of a denoised latent [channels, rows, columns]. */
export function renderPreview(
  latent: Float32Array,
  rows: number,
  columns: number,
  colours: LatentColours,
): Pixels {
  const cells = rows * columns;
  const channels = colours[0]!.length - 1;
  const small = new Float32Array(cells * 3);
  for (let cell = 0; cell < cells; cell++) {
    const features = readFeatures(latent, cell, channels, cells);
    for (let c = 0; c < 3; c++)
      small[cell * 3 + c] = features.reduce((sum, value, i) => sum + value * colours[c]![i]!, 0);
  }
  return enlarge(small, rows, columns);
}

function readFeatures(latent: Float32Array, cell: number, channels: number, cells: number): number[] {
  const features = Array.from({ length: channels }, (_, channel) => latent[channel * cells + cell]!);
  features.push(1);
  return features;
}

/** Shaded patches in many colours, two cells wide. */
function drawChart(cells: number, factor: number): Pixels {
  const side = cells * factor;
  const rgb = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const patch = Math.floor(y / (2 * factor)) * cells + Math.floor(x / (2 * factor));
      const shade = (x + y) / (2 * side) - 0.5;
      for (let c = 0; c < 3; c++) {
        // multiples of three irrational numbers spread evenly over the colour cube
        const base = (patch * [0.8191725, 0.6710436, 0.5497005][c]! + 0.5) % 1;
        rgb[(y * side + x) * 3 + c] = Math.max(0, Math.min(255, 255 * base + 64 * shade));
      }
    }
  return { rgb, width: side, height: side };
}

function averageCell(picture: Pixels, cell: number, cells: number, factor: number): number[] {
  const sums = [0, 0, 0];
  const top = Math.floor(cell / cells) * factor;
  const left = (cell % cells) * factor;
  for (let y = top; y < top + factor; y++)
    for (let x = left; x < left + factor; x++)
      for (let c = 0; c < 3; c++) sums[c]! += picture.rgb[(y * picture.width + x) * 3 + c]!;
  return sums.map((sum) => sum / factor ** 2);
}

/** Gauss-Jordan with pivoting on [A | B], A square and symmetric; B becomes the solution. */
function solve(rows: Float64Array[]): void {
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
}

/** Bilinear. */
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
