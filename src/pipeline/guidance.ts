// Classifier-free guidance (Ho and Salimans 2022): away from what the negative prompt predicts.

/** negative + scale * (positive - negative); the positive prediction alone where there is no negative one. */
export function guide(
  positive: Float32Array,
  negative: Float32Array | undefined,
  scale: number,
): Float32Array {
  if (!negative) return positive;
  return positive.map((value, i) => negative[i]! + scale * (value - negative[i]!));
}
