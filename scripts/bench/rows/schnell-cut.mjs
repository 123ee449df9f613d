// FLUX.1-schnell cut to 2 double and 4 single blocks. Shows what blocks cost, without the gigabytes. The text encoders
// are those of the whole model in Q4_0.
import { makeParts } from '../random-weights.mjs';
import { fluxRows } from './flux.mjs';

export const name = 'schnell-cut';
export const listRows = fluxRows(name, ['q8_0', 'q4_0'], async () => {
  const { t5xxl } = await makeParts('schnell', 'q4_0');
  return { t5xxl };
});

const target = (type) => ({
  name: `${name} ${type}`,
  size: 512,
  metric: 'stepSeconds',
  target: 12,
  stretch: null,
});
export const targets = [target('q8_0'), target('q4_0')];
