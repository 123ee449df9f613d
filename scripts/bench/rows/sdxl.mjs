// SDXL at full size with random weights.
import { makeOnce } from '../random-weights.mjs';

export const name = 'sdxl';

export async function listRows({ types = ['q8_0'], sizes = [1024], steps }) {
  const rows = [];
  for (const type of types) {
    const model = { model: await makeOnce(name, type) };
    for (const size of sizes) rows.push({ name: `${name} ${type}`, model, size, steps, guidance: 7 });
  }
  return rows;
}
