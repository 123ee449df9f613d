// A small model that tests may plan and run: the embedded one, or the golden end-to-end case's where that is missing.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ModelFiles } from '../src/families/types.js';
import { goldenCase } from './golden.js';

const pocket = resolve(import.meta.dirname, '../models/pocket.gguf');

export const testModel: ModelFiles = {
  model: existsSync(pocket) ? pocket : goldenCase('e2e-sd1').weights(),
};
