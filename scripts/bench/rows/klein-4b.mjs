// FLUX.2-klein-4B with Qwen3-4B at full size with random weights (Q4_0: 4.7 GB in total).
import { fluxRows } from './flux.mjs';

export const name = 'klein-4b';
export const listRows = fluxRows(name);
