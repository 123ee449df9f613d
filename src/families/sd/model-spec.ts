// What modelspec.* metadata (written by training tools and model mergers) asks for, besides the prediction.
import type { WeightSource } from '../sources.js';
import type { Defaults } from '../types.js';

export interface ModelSpecFacts {
  defaults: Partial<Defaults>;
  notes: string[];
}

const families = [
  [/^stable-diffusion-v1\b/, 'sd1'],
  [/^stable-diffusion-v2\b/, 'sd2'],
  [/^stable-diffusion-xl\b/, 'sdxl'],
] as const;

export function readModelSpec({ metadata }: WeightSource, family: 'sd1' | 'sd2' | 'sdxl'): ModelSpecFacts {
  const facts: ModelSpecFacts = { defaults: {}, notes: [] };
  const read = (key: string): string | undefined => {
    const value = metadata.get(`modelspec.${key}`);
    return value === undefined || String(value).trim() === '' ? undefined : String(value).trim();
  };
  const setAside = (key: string, why: string) =>
    facts.notes.push(`The metadata modelspec.${key} is "${read(key)}", which is set aside: ${why}.`);

  const architecture = read('architecture');
  if (architecture !== undefined) {
    const said = families.find(([pattern]) => pattern.test(architecture));
    if (said?.[1] !== family) setAside('architecture', `the tensors are those of ${family}`);
  }
  const resolution = read('resolution');
  if (resolution !== undefined) {
    const [width, height] = resolution.split(/[x×,]/i).map(Number);
    if (isSide(width) && isSide(height)) Object.assign(facts.defaults, { width, height });
    else setAside('resolution', 'sides are multiples of 8 from 64 to 2048');
  }
  const layer = read('encoder_layer');
  if (layer !== undefined) {
    // 2.x and XL read the last but one layer anyway
    if (family === 'sd1' && /^([1-9]|1[0-2])$/.test(layer)) facts.defaults.clipSkip = Number(layer);
    else if (family === 'sd1' || layer !== '2') setAside('encoder_layer', 'ask for it with clip_skip');
  }
  const range = read('timestep_range');
  if (range !== undefined) {
    const [first, last] = range.split(/[\s,-]+/).map(Number);
    if (!(first === 0 && (last === 999 || last === 1000)))
      setAside(
        'timestep_range',
        'pictures go through all of the timesteps, which this model was not trained on',
      );
  }
  return facts;
}

function isSide(side: number | undefined): boolean {
  return side !== undefined && Number.isInteger(side / 8) && side >= 64 && side <= 2048;
}
