// Shared by the FLUX rows: one row per type and size, on parts with random weights.
import { makeParts } from '../random-weights.mjs';

/** Makes `listRows` for a model. `others` are files that every type uses in addition to the model's own. */
export const fluxRows =
  (name, ownTypes = ['q4_0'], others = async () => ({})) =>
  async ({ types = ownTypes, sizes = [512], steps }) => {
    const rows = [];
    for (const type of types) {
      const model = { ...(await makeParts(name, type)), ...(await others()) };
      for (const size of sizes) rows.push({ name: `${name} ${type}`, model, size, steps, guidance: 1 });
    }
    return rows;
  };
