// The benchmark's results as a Markdown table.

const columns = [
  ['model', (r) => r.name],
  ['size', (r) => `${r.size}`],
  ['ready s', (r) => r.readySeconds.toFixed(2)],
  ['step s', (r) => r.stepSeconds.toFixed(2)],
  ['decode s', (r) => r.decodeSeconds.toFixed(2)],
  ['peak while sampling MiB', (r) => mebibytes(r.samplingPeakBytes)],
  ['peak MiB', (r) => mebibytes(r.peakBytes)],
];

export function formatTable(results) {
  const rows = [columns.map(([title]) => title), ...results.map((r) => columns.map(([, cell]) => cell(r)))];
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const lines = rows.map((row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`);
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`);
  return lines.join('\n');
}

function mebibytes(bytes) {
  return bytes === null ? '–' : (bytes / 2 ** 20).toFixed(0);
}
