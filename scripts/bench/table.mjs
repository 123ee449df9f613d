// Formats Markdown tables.

/** @param {[string, (row: any) => string][]} columns a title and how to fill a cell for each */
export function formatTable(columns, items) {
  const rows = [
    columns.map(([title]) => title),
    ...items.map((item) => columns.map(([, cell]) => cell(item))),
  ];
  const widths = columns.map((_, i) => Math.max(3, ...rows.map((row) => row[i].length)));
  const lines = rows.map((row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`);
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`);
  return lines.join('\n');
}

/** Formats a number, or a dash for an unknown value. */
export function format(value, digits = 2) {
  return value === null || value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits);
}

export function mebibytes(bytes) {
  return format(bytes === null ? null : bytes / 2 ** 20, 0);
}
