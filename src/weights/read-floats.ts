// Reads the values of small tensors: scales, alphas, the bias of a norm. The native code reads the weights of networks.
import { ImageForgeError } from '../shared/errors.js';
import { invalid } from './check-tensors.js';
import { type Place, readBytes } from './read-bytes.js';

const maxBytes = 1 << 20;

const decoders: Record<string, { bytes: number; read: (data: Buffer, at: number) => number }> = {
  f64: { bytes: 8, read: (data, at) => data.readDoubleLE(at) },
  f32: { bytes: 4, read: (data, at) => data.readFloatLE(at) },
  f16: { bytes: 2, read: (data, at) => halfToNumber(data.readUInt16LE(at)) },
  bf16: { bytes: 2, read: (data, at) => bfloatToNumber(data.readUInt16LE(at)) },
  i64: { bytes: 8, read: (data, at) => Number(data.readBigInt64LE(at)) },
  i32: { bytes: 4, read: (data, at) => data.readInt32LE(at) },
  i16: { bytes: 2, read: (data, at) => data.readInt16LE(at) },
  i8: { bytes: 1, read: (data, at) => data.readInt8(at) },
  u64: { bytes: 8, read: (data, at) => Number(data.readBigUInt64LE(at)) },
  u32: { bytes: 4, read: (data, at) => data.readUInt32LE(at) },
  u16: { bytes: 2, read: (data, at) => data.readUInt16LE(at) },
  u8: { bytes: 1, read: (data, at) => data[at]! },
  bool: { bytes: 1, read: (data, at) => (data[at] ? 1 : 0) },
  // E5M2 is the upper byte of a half; E4M3 has no infinities, and a half's exponent is 8 higher
  f8_e5m2: { bytes: 1, read: (data, at) => halfToNumber(data[at]! << 8) },
  f8_e4m3: { bytes: 1, read: (data, at) => e4m3ToNumber(data[at]!) },
};

export async function readFloats(place: Place & { type: string }): Promise<Float64Array> {
  const { path, bytes } = place;
  if (bytes > maxBytes)
    throw invalid(path, `a tensor of ${bytes} bytes stands where a few values were expected`);
  const [data] = await readBytes([place]);
  return decodeValues(place, data!);
}

/** @throws ImageForgeError UNSUPPORTED for other types */
export function decodeValues(
  { path, type }: Pick<Place, 'path'> & { type: string },
  data: Buffer,
): Float64Array {
  const decoder = decoders[type];
  if (!decoder)
    throw new ImageForgeError('UNSUPPORTED', `${path}: values of the type ${type} can't be read here`);
  const length = data.length / decoder.bytes;
  return Float64Array.from({ length }, (_, i) => decoder.read(data, i * decoder.bytes));
}

export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function e4m3ToNumber(bits: number): number {
  if ((bits & 0x7f) === 0x7f) return Number.NaN;
  return 256 * halfToNumber(((bits & 0x80) << 8) | ((bits & 0x7f) << 7));
}

function bfloatToNumber(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits << 16);
  return view.getFloat32(0);
}
