// Reads the values of a small tensor: a scale, an alpha, a norm's bias. Networks' weights are the native code's to read.
import { open } from 'node:fs/promises';
import { ImageForgeError } from '../shared/errors.js';
import { unreadable } from './byte-reader.js';
import { invalid } from './check-tensors.js';

const maxBytes = 1 << 20;

const decoders: Record<string, { bytes: number; read: (data: Buffer, at: number) => number }> = {
  f64: { bytes: 8, read: (data, at) => data.readDoubleLE(at) },
  f32: { bytes: 4, read: (data, at) => data.readFloatLE(at) },
  f16: { bytes: 2, read: (data, at) => halfToNumber(data.readUInt16LE(at)) },
  bf16: { bytes: 2, read: (data, at) => bfloatToNumber(data.readUInt16LE(at)) },
  i64: { bytes: 8, read: (data, at) => Number(data.readBigInt64LE(at)) },
  i32: { bytes: 4, read: (data, at) => data.readInt32LE(at) },
};

export async function readFloats(place: {
  path: string;
  offset: number;
  bytes: number;
  type: string;
}): Promise<Float64Array> {
  const { path, offset, bytes, type } = place;
  const decoder = decoders[type];
  if (!decoder)
    throw new ImageForgeError('UNSUPPORTED', `${path}: values of the type ${type} can't be read here`);
  if (bytes > maxBytes)
    throw invalid(path, `a tensor of ${bytes} bytes stands where a few values were expected`);
  const data = Buffer.alloc(bytes);
  try {
    const file = await open(path, 'r');
    try {
      const { bytesRead } = await file.read(data, 0, bytes, offset);
      if (bytesRead !== bytes) throw invalid(path, 'the file is shorter than its header says');
    } finally {
      await file.close();
    }
  } catch (error) {
    throw error instanceof ImageForgeError ? error : unreadable(path, error);
  }
  return Float64Array.from({ length: bytes / decoder.bytes }, (_, i) =>
    decoder.read(data, i * decoder.bytes),
  );
}

export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bfloatToNumber(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits << 16);
  return view.getFloat32(0);
}
