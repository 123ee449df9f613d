// The embedded model, as a user runs it.
import path from 'node:path';
import { planModel } from '../../../dist/families/index.js';

export const name = 'pocket';

export async function listRows() {
  const model = { model: path.resolve(import.meta.dirname, '../../../models/pocket.gguf') };
  const { defaults } = await planModel(model);
  return [{ name, model, size: defaults.width, steps: defaults.steps, guidance: defaults.guidance }];
}
