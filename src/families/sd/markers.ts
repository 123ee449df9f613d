// Marks that tools leave in a file to say how its model is sampled: small tensors, or metadata of the same names.
// ComfyUI and the WebUI read the tensors; v_pred and ztsnr are empty ones, so that only their names speak.
import { ImageForgeError } from '../../shared/errors.js';
import { readFloats } from '../../weights/read-floats.js';
import type { MetadataValue } from '../../weights/types.js';
import type { WeightSource } from '../sources.js';

export const markerNames = [
  'v_pred',
  'ztsnr',
  'edm_mean',
  'edm_std',
  'edm_vpred.sigma_max',
  'edm_vpred.sigma_min',
] as const;
export type MarkerName = (typeof markerNames)[number];

export interface Marker {
  /** For people: "the tensor ztsnr". */
  from: string;
  values: number[];
}

/** Where the tensor of a marker may lie. */
const namesOf = (name: MarkerName) => [name, `model.diffusion_model.${name}`];

/** Whether a tensor of this name is a marker. */
export function isMarker(tensor: string): boolean {
  return markerNames.some((name) => namesOf(name).includes(tensor));
}

/** undefined where the file does not have it, or its metadata says no. */
export async function readMarker(
  { tensors, metadata }: Pick<WeightSource, 'tensors' | 'metadata'>,
  name: MarkerName,
): Promise<Marker | undefined> {
  const named = namesOf(name).find((key) => tensors.has(key));
  if (named !== undefined) {
    const from = `the tensor ${named}`;
    return isFlag(name)
      ? { from, values: [] }
      : { from, values: [...(await readFloats(tensors.get(named)!))] };
  }
  for (const key of [`imageforge.${name}`, `modelspec.${name}`, name]) {
    const value = metadata.get(key);
    if (value === undefined || isNo(value)) continue;
    const from = `the metadata ${key}`;
    return { from, values: isFlag(name) ? [] : toNumbers(value) };
  }
  return undefined;
}

/** The same with as many values as expected. */
export async function readMarkerValues(
  source: WeightSource,
  name: MarkerName,
  count: number,
): Promise<Marker | undefined> {
  const marker = await readMarker(source, name);
  if (marker && (marker.values.length !== count || !marker.values.every(Number.isFinite)))
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${source.label}: ${marker.from} has the values ${marker.values.join(', ') || '(none)'}; ${count} finite ${count === 1 ? 'number was' : 'numbers were'} expected`,
      { details: { file: source.label, tensor: name } },
    );
  return marker;
}

function isFlag(name: MarkerName): boolean {
  return name === 'v_pred' || name === 'ztsnr';
}

/** Metadata of safetensors is text, that of GGUF has types. */
export function isNo(value: MetadataValue): boolean {
  return ['', '0', 'false', 'no', 'none', 'null'].includes(String(value).trim().toLowerCase());
}

function toNumbers(value: MetadataValue): number[] {
  if (Array.isArray(value)) return value.flatMap(toNumbers);
  const parts = String(value)
    .split(/[\s,[\]()]+/)
    .filter((part) => part !== '');
  return parts.map(Number);
}
