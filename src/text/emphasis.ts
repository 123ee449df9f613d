// Emphasis on encoded text: what a token's weight does to its state.

/**
 * As the Stable Diffusion WebUI's default: each token's state is multiplied by its weight, then the whole row is scaled
 * so that its mean is what it was.
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

/**
 * As ComfyUI: a token's state goes from that of the empty prompt at the same place (weight 0) through its own (1) and
 * beyond. Nothing is scaled afterwards.
 * @param empty states of the row without words, as long as `states`
 */
export function interpolateFromEmpty(
  states: Float32Array,
  empty: Float32Array,
  weights: ArrayLike<number>,
): Float32Array {
  const width = states.length / weights.length;
  return states.map((value, i) => {
    const weight = weights[Math.floor(i / width)]!;
    return weight === 1 ? value : empty[i]! + (value - empty[i]!) * weight;
  });
}

function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
