// FLUX.1-schnell at full size with random weights, its text encoders among them (Q4_0: 9.8 GB in all).
import { fluxRows } from './flux.mjs';

export const name = 'schnell';
export const listRows = fluxRows(name);
