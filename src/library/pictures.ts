// Reads the pictures that a program hands over, in the same way as the service reads those of its clients.
import type { ModelPlan } from '../families/types.js';
import type { Pixels } from '../native/addon.js';
import { requireReferences, requireSide } from '../pipeline/resolve.js';
import {
  type DecodedMask,
  decodeMask,
  decodePicture,
  decodeReference,
  encodePng,
  measurePicture,
} from '../service/pictures/codec.js';
import { readSource } from '../service/pictures/source.js';
import { fitSize } from '../service/request/sizes.js';
import { ImageForgeError } from '../shared/errors.js';
import type { PictureInput } from './options.js';

/** Bound of sides that follow from the picture. Explicit sides may be larger. */
const MAX_SIDE = 4096;

/** Decodes a picture at the size of the run. `name` is the option's name, for messages. */
export async function readPicture(
  input: PictureInput,
  name: string,
  asked: { width?: number; height?: number },
  { defaults, latent }: Pick<ModelPlan, 'defaults' | 'latent'>,
): Promise<Pixels> {
  const bytes = await readBytes(input, name);
  const { width, height } = asked;
  const multiple = Math.max(8, latent.multiple ?? latent.factor);
  const size = fitSize(
    await measurePicture(bytes, name),
    { ...(width !== undefined && { width }), ...(height !== undefined && { height }) },
    defaults,
    { maxSide: MAX_SIDE, multiple },
  );
  requireSide('width', size.width, multiple);
  requireSide('height', size.height, multiple);
  return decodePicture(bytes, size, name);
}

/** @throws ImageForgeError UNSUPPORTED where the model takes none, INVALID_ARGUMENT where there are too many. */
export async function readReferences(
  inputs: PictureInput[],
  plan: Pick<ModelPlan, 'references'>,
): Promise<Pixels[]> {
  const rule = requireReferences(inputs.length, plan);
  const pictures: Pixels[] = [];
  for (const [i, input] of inputs.entries()) {
    const name = `references[${i}]`;
    pictures.push(await decodeReference(await readBytes(input, name), rule, name));
  }
  return pictures;
}

/** The encoded picture and its own size. */
export async function measureInput(
  input: PictureInput,
  name: string,
): Promise<{ bytes: Uint8Array; width: number; height: number }> {
  const bytes = await readBytes(input, name);
  return { bytes, ...(await measurePicture(bytes, name)) };
}

export async function readMask(input: PictureInput, name: string, picture: Pixels): Promise<DecodedMask> {
  return decodeMask(await readBytes(input, name), picture, name);
}

/** The encoded picture. */
export async function readBytes(input: PictureInput, name: string): Promise<Uint8Array> {
  if (typeof input === 'string') return readSource({ path: input }, name);
  if (input instanceof Uint8Array) return input;
  const { rgb, width, height } = input;
  if (rgb?.length !== width * height * 3)
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `${name}: expected ${width} x ${height} x 3 bytes of RGB, found ${rgb?.length}.`,
    );
  return encodePng(input);
}
