// Reads GGUF headers, versions 2 and 3, little endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
// Every count and length is checked before it is used, so that a damaged or hostile file causes an error and nothing worse.
import { ImageForgeError } from '../shared/errors.js';
import { ByteReader } from './byte-reader.js';
import {
  checkPlaces,
  countElements,
  expectedBytes,
  invalid,
  maxNameBytes,
  maxTensors,
} from './check-tensors.js';
import { fitBlocks, hasTapsFirst, restoreKernel } from './kernel-order.js';
import { Metadata } from './metadata.js';
import { ggmlTypeNames, removedGgmlTypes } from './tensor-types.js';
import type { MetadataValue, TensorInfo, WeightFile } from './types.js';

const maxKeys = 1 << 16;
const maxStringBytes = 1 << 24;
const maxArrayLength = 1 << 23;
const maxNesting = 4;
/** For metadata and tensor table together; the largest published headers have some 20 MB. */
const maxHeaderBytes = 1 << 27;
/** Longer arrays are decoded at their first use. */
const eagerLength = 64;
/** The smallest entries of the two tables: with the file's size they bound how many there can be. */
const minTensorBytes = 24;
const minKeyBytes = 13;

const stringType = 8;
const arrayType = 9;
/** Bytes of a value by its type; strings and arrays have no fixed size. */
const valueBytes = new Map([
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 2],
  [4, 4],
  [5, 4],
  [6, 4],
  [7, 1],
  [10, 8],
  [11, 8],
  [12, 8],
]);

/** `reader` stands behind the magic. */
export function readGguf(reader: ByteReader): WeightFile {
  const { path, size } = reader;
  const version = reader.u32();
  if (version !== 2 && version !== 3) {
    const why = version === 1 ? 'is too old' : version > 0xffff ? 'is big endian or damaged' : "isn't known";
    throw new ImageForgeError(
      'UNSUPPORTED',
      `${path}: GGUF version ${version} ${why}; versions 2 and 3 are read`,
      {
        hint: 'Convert the file anew with a current tool.',
        details: { file: path },
      },
    );
  }
  const tensorCount = reader.count(
    Math.min(maxTensors, reader.left / minTensorBytes),
    'the number of tensors',
  );
  const keyCount = reader.count(Math.min(maxKeys, reader.left / minKeyBytes), 'the number of metadata keys');
  const metadata = readMetadata(reader, keyCount);

  const tensors = new Map<string, TensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = readTensor(reader);
    if (tensors.has(tensor.name)) throw invalid(path, `tensor ${tensor.name} is there twice`);
    tensors.set(tensor.name, tensor);
    checkHeaderSize(reader);
  }
  const alignment = findAlignment(path, metadata);
  const start = Math.ceil(reader.position / alignment) * alignment;
  const tapsFirst = hasTapsFirst(path, metadata);
  for (const tensor of tensors.values()) {
    if (tensor.offset % alignment !== 0)
      throw invalid(
        path,
        `tensor ${tensor.name} lies at ${tensor.offset}, which isn't a multiple of ${alignment}`,
      );
    tensor.offset += start;
    restoreShape(path, tensor, metadata);
    if (tapsFirst) restoreKernel(tensor);
  }
  checkPlaces(path, size, tensors.values());
  return { path, format: 'gguf', size, tensors, metadata };
}

/**
 * Reads each key's type and value as bytes, to be written to another GGUF file. `reader` stands behind the magic of a file
 * that readGguf has read without an error.
 */
export function readRawMetadata(reader: ByteReader): Map<string, Uint8Array> {
  reader.skip(4 + 8);
  const count = reader.count(maxKeys, 'the number of metadata keys');
  const raw = new Map<string, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const key = readString(reader, maxNameBytes, 'the length of a metadata key');
    const from = reader.position;
    const type = reader.u32();
    if (type === arrayType) skipArray(reader, key, 1);
    else readValue(reader, type, key);
    raw.set(key, reader.again(from, reader.position));
  }
  return raw;
}

function readMetadata(reader: ByteReader, count: number): Metadata {
  const metadata = new Metadata();
  for (let i = 0; i < count; i++) {
    const key = readString(reader, maxNameBytes, 'the length of a metadata key');
    if (metadata.has(key)) throw invalid(reader.path, `the metadata key ${key} is there twice`);
    const type = reader.u32();
    if (type === arrayType) keepArray(reader, metadata, key);
    else metadata.set(key, readValue(reader, type, key));
    checkHeaderSize(reader);
  }
  return metadata;
}

function keepArray(reader: ByteReader, metadata: Metadata, key: string): void {
  const from = reader.position;
  const length = skipArray(reader, key, 1);
  const bytes = reader.again(from, reader.position);
  const decode = () => readArray(ByteReader.over(reader.path, bytes), key);
  if (length > eagerLength) metadata.defer(key, decode);
  else metadata.set(key, decode());
}

/** Checks an array while skipping over it. Returns its length. */
function skipArray(reader: ByteReader, key: string, depth: number): number {
  if (depth > maxNesting)
    throw invalid(reader.path, `the metadata key ${key} has arrays in more than ${maxNesting} levels`);
  const type = reader.u32();
  const limit = Math.min(
    reader.left,
    type === stringType || type === arrayType ? maxArrayLength : maxHeaderBytes,
  );
  const length = reader.count(limit, `the length of the array ${key}`);
  const size = valueBytes.get(type);
  if (size !== undefined) {
    reader.skip(length * size);
  } else {
    for (let i = 0; i < length; i++) {
      if (type === arrayType) skipArray(reader, key, depth + 1);
      else if (type === stringType)
        reader.skip(reader.count(maxStringBytes, `the length of a string in ${key}`));
      else throw unknownValueType(reader.path, key, type);
      checkHeaderSize(reader);
    }
  }
  checkHeaderSize(reader);
  return length;
}

/** Reads an array that skipArray has checked. */
function readArray(reader: ByteReader, key: string): MetadataValue[] {
  const type = reader.u32();
  const length = Number(reader.u64());
  const values: MetadataValue[] = [];
  for (let i = 0; i < length; i++) values.push(readValue(reader, type, key));
  return values;
}

function readValue(reader: ByteReader, type: number, key: string): MetadataValue {
  switch (type) {
    case 0:
      return reader.u8();
    case 1:
      return reader.i8();
    case 2:
      return reader.u16();
    case 3:
      return reader.i16();
    case 4:
      return reader.u32();
    case 5:
      return reader.i32();
    case 6:
      return reader.f32();
    case 7:
      return reader.u8() !== 0;
    case stringType:
      return readString(reader, maxStringBytes, `the length of ${key}`);
    case arrayType:
      return readArray(reader, key);
    case 10:
      return reader.u64();
    case 11:
      return reader.i64();
    case 12:
      return reader.f64();
    default:
      throw unknownValueType(reader.path, key, type);
  }
}

function unknownValueType(path: string, key: string, type: number): ImageForgeError {
  return invalid(path, `the metadata key ${key} has the unknown value type ${type}`);
}

function readString(reader: ByteReader, limit: number, what: string): string {
  return reader.text(reader.count(limit, what));
}

function readTensor(reader: ByteReader): TensorInfo {
  const { path } = reader;
  const name = readString(reader, maxNameBytes, 'the length of a tensor name');
  const dimensions = reader.u32();
  if (dimensions > 4) throw invalid(path, `tensor ${name} has ${dimensions} dimensions; GGUF allows 4`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++)
    shape.unshift(reader.count(Number.MAX_SAFE_INTEGER, `a dimension of tensor ${name}`));
  const number = reader.u32();
  const type = ggmlTypeNames.get(number);
  if (type === undefined) {
    const why = removedGgmlTypes.has(number) ? 'a type that ggml has removed' : 'an unknown type';
    throw new ImageForgeError('UNSUPPORTED', `${path}: tensor ${name} has ${why} (number ${number})`, {
      hint: 'Use a file with one of the types f16, bf16, q8_0, q5_1, q4_k, …',
      details: { file: path, tensor: name },
    });
  }
  const offset = reader.count(Number.MAX_SAFE_INTEGER, `the offset of tensor ${name}`);
  return { name, type, shape, offset, bytes: expectedBytes(path, name, type, shape) };
}

function findAlignment(path: string, metadata: Metadata): number {
  const value = metadata.get('general.alignment') ?? 32;
  if (typeof value !== 'number' || value < 1 || value > 1 << 20 || !Number.isInteger(Math.log2(value)))
    throw invalid(path, `general.alignment is ${String(value)}; a power of two was expected`);
  return value;
}

/** Some converters fold tensors so that quantisation blocks fit, and keep the real shape in the metadata. */
function restoreShape(path: string, tensor: TensorInfo, metadata: Metadata): void {
  const key = originalShapeKey(tensor.name);
  const original = metadata.get(key);
  if (original === undefined) return;
  const shape = Array.isArray(original) ? original.map(Number) : [];
  if (shape.length === 0 || countElements(shape) !== countElements(tensor.shape))
    throw invalid(path, `${key} is [${shape}], which doesn't fit the stored shape [${tensor.shape}]`);
  tensor.shape = shape;
  Object.assign(tensor, fitBlocks(tensor.type, shape));
}

export function originalShapeKey(tensor: string): string {
  return `comfy.gguf.orig_shape.${tensor}`;
}

function checkHeaderSize(reader: ByteReader): void {
  if (reader.position > maxHeaderBytes)
    throw invalid(reader.path, `the header is longer than ${maxHeaderBytes >> 20} MiB`);
}
