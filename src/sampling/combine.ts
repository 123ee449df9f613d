// Linear combinations of latents, the only arithmetic that samplers do on arrays.

export type Term = readonly [factor: number, values: Float32Array];

/** The sum of factor * values. The usual two terms take one pass. */
export function combine([a, x]: Term, [b, y]: Term, ...others: Term[]): Float32Array {
  const sum = new Float32Array(x.length);
  for (let i = 0; i < sum.length; i++) sum[i] = a * x[i]! + b * y[i]!;
  for (const [c, z] of others) for (let i = 0; i < sum.length; i++) sum[i]! += c * z[i]!;
  return sum;
}
