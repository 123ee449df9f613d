// A small model for tests to plan and run: the embedded one or, if that is missing, the golden end-to-end case's.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ModelFiles } from '../src/families/types.js';
import { goldenCase } from './golden.js';

const pocket = resolve(import.meta.dirname, '../models/pocket.gguf');

export const testModel: ModelFiles = {
  model: existsSync(pocket) ? pocket : goldenCase('e2e-sd1').weights(),
};
