// FLUX.1-schnell cut to 2 double and 4 single blocks: what blocks cost, without the gigabytes. The text encoders are
// those of the whole model in Q4_0.
import { makeParts } from '../random-weights.mjs';

export const name = 'schnell-cut';

export async function listRows({ types = ['q8_0', 'q4_0'], sizes = [512], steps }) {
  const { t5xxl } = await makeParts('schnell', 'q4_0');
  const rows = [];
  for (const type of types) {
    const model = { ...(await makeParts(name, type)), t5xxl };
    for (const size of sizes) rows.push({ name: `${name} ${type}`, model, size, steps, guidance: 1 });
  }
  return rows;
}

const target = (type) => ({
  ...{ name: `${name} ${type}`, size: 512, metric: 'stepSeconds', target: 12, stretch: null },
});
export const targets = [target('q8_0'), target('q4_0')];
