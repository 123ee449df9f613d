// Reads the header of a safetensors file (https://github.com/huggingface/safetensors#format): the header's length in eight
// bytes, the header as JSON, then data.
import { ImageForgeError } from '../shared/errors.js';
import type { ByteReader } from './byte-reader.js';
import { checkPlaces, expectedBytes, invalid } from './check-tensors.js';
import { parseHeader } from './safetensors-json.js';
import { safetensorsTypeNames } from './tensor-types.js';
import type { TensorInfo, WeightFile } from './types.js';

/** The limit of the reference implementation. */
export const maxHeaderBytes = 100_000_000;

/** `reader` stands at the start of the file. */
export function readSafetensors(reader: ByteReader): WeightFile {
  const { path, size } = reader;
  const headerBytes = reader.count(maxHeaderBytes, 'the length of the header');
  const header = parseHeader(path, reader.bytes(headerBytes));
  const start = 8 + headerBytes;
  const tensors = new Map<string, TensorInfo>();
  for (const [name, { dtype, shape, begin, end }] of header.tensors) {
    const type = safetensorsTypeNames.get(dtype);
    if (type === undefined) {
      throw new ImageForgeError('UNSUPPORTED', `${path}: tensor ${name} has the unknown type ${dtype}`, {
        details: { file: path, tensor: name },
      });
    }
    const bytes = expectedBytes(path, name, type, shape);
    if (end - begin !== bytes) {
      throw invalid(
        path,
        `tensor ${name} has ${end - begin} bytes, but ${dtype} in the shape [${shape}] needs ${bytes}`,
      );
    }
    tensors.set(name, { name, type, shape, offset: start + begin, bytes });
  }
  checkPlaces(path, size, tensors.values());
  return { path, format: 'safetensors', size, tensors, metadata: header.metadata };
}
