// FLUX.1-schnell at full size with random weights, its text encoders among them (Q4_0: 9.8 GB in all).
import { makeParts } from '../random-weights.mjs';

export const name = 'schnell';

export async function listRows({ types = ['q4_0'], sizes = [512], steps }) {
  const rows = [];
  for (const type of types) {
    const model = await makeParts(name, type);
    for (const size of sizes) rows.push({ name: `${name} ${type}`, model, size, steps, guidance: 1 });
  }
  return rows;
}
