// FLUX.2-klein-4B with Qwen3-4B at full size with random weights (Q4_0: 4.7 GB in all).
import { makeParts } from '../random-weights.mjs';

export const name = 'klein-4b';

export async function listRows({ types = ['q4_0'], sizes = [512], steps }) {
  const rows = [];
  for (const type of types) {
    const model = await makeParts(name, type);
    for (const size of sizes) rows.push({ name: `${name} ${type}`, model, size, steps, guidance: 1 });
  }
  return rows;
}
