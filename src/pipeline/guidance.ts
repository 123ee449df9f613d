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

/**
 * Guidance rescale (Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4):
 * x_rescaled = x_cfg σ_pos / σ_cfg, x_final = φ x_rescaled + (1 - φ) x_cfg. The standard deviations are those of the
 * whole sample, over all channels.
 */
export function rescaleGuided(guided: Float32Array, positive: Float32Array, phi: number): Float32Array {
  const deviation = deviationOf(guided);
  if (phi === 0 || deviation === 0) return guided;
  const factor = (phi * deviationOf(positive)) / deviation + (1 - phi);
  return guided.map((value) => value * factor);
}

function deviationOf(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/**
 * Several prompts as one (Liu et al. 2022, "Compositional Visual Generation with Composable Diffusion Models"): the
 * prediction that `guide` takes as the positive one, negative + sum of weight * (positive - negative).
 */
export function combinePositives(
  positives: readonly Float32Array[],
  weights: readonly number[],
  negative: Float32Array | undefined,
): Float32Array {
  const [first] = positives;
  if (!negative || (positives.length === 1 && weights[0] === 1)) return first!;
  return negative.map((value, i) => {
    let sum = value;
    for (const [n, positive] of positives.entries()) sum += weights[n]! * (positive[i]! - value);
    return sum;
  });
}
