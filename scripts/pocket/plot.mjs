// Draws a training curve: node plot.mjs LOSSES.csv OUT.png COLUMN [COLUMN ...]. Minutes on the x axis, a logarithmic y axis.
import { readFileSync } from 'node:fs';
import sharp from 'sharp';

const [input, output, ...columns] = process.argv.slice(2);
const [header, ...rows] = readFileSync(input, 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(','));
const minutes = rows.map((row) => Number(row[header.indexOf('minutes')]));
const series = columns.map((name) => ({
  name,
  values: rows.map((row) => Number(row[header.indexOf(name)])),
}));

const [width, height, left, bottom] = [640, 320, 60, 40];
const all = series.flatMap(({ values }) => values);
const [low, high] = [Math.min(...all) * 0.9, Math.max(...all) * 1.1];
const last = Math.max(...minutes);
const xOf = (/** @type {number} */ m) => left + ((width - left - 16) * m) / last;
const yOf = (/** @type {number} */ v) =>
  16 + ((height - 16 - bottom) * Math.log(high / v)) / Math.log(high / low);
const colours = ['#2654da', '#de2626', '#26a048'];
const ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20].filter((v) => v > low && v < high);
const step = [1, 2, 5, 10].find((s) => last / s <= 8) ?? 20;
const grid = [
  ...ticks.map(
    (v) =>
      `<path d="M${left} ${yOf(v)}H${width - 16}" stroke="#ddd"/><text x="${left - 8}" y="${yOf(v) + 4}" text-anchor="end">${v}</text>`,
  ),
  ...Array.from({ length: Math.floor(last / step) + 1 }, (_, i) => i * step).map(
    (m) => `<text x="${xOf(m)}" y="${height - bottom + 18}" text-anchor="middle">${m}</text>`,
  ),
];
const lines = series.map(
  ({ name, values }, i) =>
    `<polyline fill="none" stroke="${colours[i]}" stroke-width="2" points="${values.map((v, k) => `${xOf(minutes[k]).toFixed(1)},${yOf(v).toFixed(1)}`).join(' ')}"/>` +
    `<text x="${width - 24}" y="${34 + 18 * i}" text-anchor="end" fill="${colours[i]}">${name}</text>`,
);
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>${grid.join('')}${lines.join('')}
<text x="${(left + width) / 2}" y="${height - 6}" text-anchor="middle">minutes</text></svg>`;
await sharp(Buffer.from(svg)).png({ palette: true }).toFile(output);
