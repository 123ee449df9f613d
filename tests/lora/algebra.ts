// Merges each kind of update into a weight, following its definition with whole matrices in double precision. This is
// slow, and independent of the product's code.

export interface Matrix {
  rows: number;
  columns: number;
  values: Float64Array;
}

export function matrix(rows: number, columns: number, values: ArrayLike<number>): Matrix {
  return { rows, columns, values: Float64Array.from(values) };
}

export function identity(size: number): Matrix {
  return build(size, size, (r, c) => (r === c ? 1 : 0));
}

function build(rows: number, columns: number, at: (row: number, column: number) => number): Matrix {
  const values = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) values[r * columns + c] = at(r, c);
  return { rows, columns, values };
}

export const at = ({ columns, values }: Matrix, r: number, c: number) => values[r * columns + c]!;

export function multiply(a: Matrix, b: Matrix): Matrix {
  if (a.columns !== b.rows) throw new Error(`${a.rows} x ${a.columns} times ${b.rows} x ${b.columns}`);
  return build(a.rows, b.columns, (r, c) => {
    let sum = 0;
    for (let k = 0; k < a.columns; k++) sum += at(a, r, k) * at(b, k, c);
    return sum;
  });
}

export function transpose(a: Matrix): Matrix {
  return build(a.columns, a.rows, (r, c) => at(a, c, r));
}

export function combine(a: Matrix, b: Matrix, join: (a: number, b: number) => number): Matrix {
  return build(a.rows, a.columns, (r, c) => join(at(a, r, c), at(b, r, c)));
}

export const add = (a: Matrix, b: Matrix, scale = 1) => combine(a, b, (x, y) => x + scale * y);

export function kronecker(a: Matrix, b: Matrix): Matrix {
  return build(
    a.rows * b.rows,
    a.columns * b.columns,
    (r, c) => at(a, Math.floor(r / b.rows), Math.floor(c / b.columns)) * at(b, r % b.rows, c % b.columns),
  );
}

/** Composes the three convolutions up [out, rank], core [rank, rank, taps] and down [rank, inputs]. */
export function tucker(up: Matrix, core: Matrix, down: Matrix, taps: number): Matrix {
  return build(up.rows, down.columns * taps, (o, column) => {
    const [input, tap] = [Math.floor(column / taps), column % taps];
    let sum = 0;
    for (let i = 0; i < up.columns; i++)
      for (let j = 0; j < down.rows; j++)
        sum += at(up, o, i) * at(core, i, j * taps + tap) * at(down, j, input);
    return sum;
  });
}

/** Scales the weight's rows, or its columns over all rows and taps, to the trained lengths. */
export function withLengths(
  weight: Matrix,
  lengths: ArrayLike<number>,
  axis: 'rows' | 'columns',
  taps: number,
): Matrix {
  const groupOf = (r: number, c: number) => (axis === 'rows' ? r : Math.floor(c / taps));
  const squares = new Float64Array(lengths.length);
  for (let r = 0; r < weight.rows; r++)
    for (let c = 0; c < weight.columns; c++) squares[groupOf(r, c)]! += at(weight, r, c) ** 2;
  return build(weight.rows, weight.columns, (r, c) => {
    const group = groupOf(r, c);
    return (at(weight, r, c) * lengths[group]!) / Math.sqrt(squares[group]!);
  });
}

/** Solves a X = b by Gaussian elimination. */
export function solve(a: Matrix, b: Matrix): Matrix {
  const [left, right] = [Float64Array.from(a.values), Float64Array.from(b.values)];
  const [n, m] = [a.rows, b.columns];
  for (let pivot = 0; pivot < n; pivot++) {
    for (let r = 0; r < n; r++) {
      if (r === pivot) continue;
      const factor = left[r * n + pivot]! / left[pivot * n + pivot]!;
      for (let c = 0; c < n; c++) left[r * n + c]! -= factor * left[pivot * n + c]!;
      for (let c = 0; c < m; c++) right[r * m + c]! -= factor * right[pivot * m + c]!;
    }
  }
  return build(n, m, (r, c) => right[r * m + c]! / left[r * n + r]!);
}

/** The rotations for blocks [layers, count, size, size], with the norm of all skew parts limited to `limit`. */
export function rotations(
  blocks: ArrayLike<number>,
  [layers, count, size]: [number, number, number],
  limit = 0,
): Matrix[][] {
  const skew = Array.from({ length: layers * count }, (_, i) => {
    const block = matrix(size, size, Array.from(blocks).slice(i * size * size, (i + 1) * size * size));
    return add(block, transpose(block), -1);
  });
  const norm = Math.sqrt(skew.reduce((sum, { values }) => sum + values.reduce((s, v) => s + v * v, 0), 0));
  const shrink = limit > 0 && norm > limit ? limit / norm : 1;
  const unit = identity(size);
  const all = skew.map((s) => {
    const q = combine(s, s, (x) => x * shrink);
    return transpose(solve(transpose(add(unit, q, -1)), transpose(add(unit, q))));
  });
  return Array.from({ length: layers }, (_, layer) => all.slice(layer * count, (layer + 1) * count));
}

/** A block-diagonal matrix. */
export function diagonal(blocks: readonly Matrix[]): Matrix {
  const size = blocks[0]!.rows;
  return build(size * blocks.length, size * blocks.length, (r, c) =>
    Math.floor(r / size) === Math.floor(c / size) ? at(blocks[Math.floor(r / size)]!, r % size, c % size) : 0,
  );
}

/** Permutes rows: views them as [groups, 2, distance] and swaps the last two dimensions. */
export function butterfly(rows: number, distance: number): Matrix {
  const order: number[] = [];
  for (let group = 0; group < rows; group += 2 * distance)
    for (let k = 0; k < distance; k++) order.push(group + k, group + distance + k);
  return build(rows, rows, (r, c) => (order[r] === c ? 1 : 0));
}
