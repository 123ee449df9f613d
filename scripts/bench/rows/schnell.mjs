// FLUX.1-schnell at full size with random weights, including its text encoders (Q4_0: 9.8 GB in total).
import { fluxRows } from './flux.mjs';

export const name = 'schnell';
export const listRows = fluxRows(name);
