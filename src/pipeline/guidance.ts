// Classifier-free guidance (Ho and Salimans 2022), equation 6: ε̃ = (1 + w) ε(z, c) - w ε(z). The negative prompt takes the
// place of the empty one, and `scale` is 1 + w: ε̃ = ε(z, negative) + scale (ε(z, positive) - ε(z, negative)).

/** Without a negative prediction the positive one is returned as it is. */
export function guide(
  positive: Float32Array,
  negative: Float32Array | undefined,
  scale: number,
): Float32Array {
  if (!negative) return positive;
  return positive.map((value, i) => negative[i]! + scale * (value - negative[i]!));
}
