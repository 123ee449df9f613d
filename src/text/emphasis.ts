// Emphasis on encoded text, as the Stable Diffusion WebUI's default: each token's state is multiplied by its weight,
// then the whole row is scaled so that its mean is what it was.

/**
 * @param states hidden states [tokens, width] of one row of the text encoder; they stay as they are
 * @param weights one weight per token
 */
export function applyEmphasis(states: Float32Array, weights: ArrayLike<number>): Float32Array {
  const width = states.length / weights.length;
  const weighted = new Float32Array(states.length);
  for (let token = 0; token < weights.length; token++)
    for (let i = token * width; i < (token + 1) * width; i++) weighted[i] = states[i]! * weights[token]!;

  const before = mean(states);
  const after = mean(weighted);
  if (before === after || after === 0) return weighted;
  return weighted.map((value) => value * (before / after));
}

function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
