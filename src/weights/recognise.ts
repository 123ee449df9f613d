// Tells from its first bytes what a file is, and what to do about the many things that people pass as a model.
import { ImageForgeError } from '../shared/errors.js';
import type { ByteReader } from './byte-reader.js';
import { invalid } from './check-tensors.js';
import { maxHeaderBytes } from './safetensors.js';

const convert =
  'Pickled checkpoints can run code when they are opened, so they are not read. Convert the file in a Python environment ' +
  'that you trust: safetensors.torch.save_file(torch.load(IN, weights_only=True, map_location="cpu")["state_dict"], OUT).';

/** gzip, zstd, 7z, bzip2, xz, rar. */
const archives = ['\x1f\x8b', '\x28\xb5\x2f\xfd', '7z\xbc\xaf', 'BZh', '\xfd7zXZ', 'Rar!'];

/** Throws an error that names what was found where the file is neither. Leaves the reader at the start. */
export function recognise(reader: ByteReader): 'gguf' | 'safetensors' {
  const { path, size } = reader;
  if (size === 0) throw invalid(path, 'the file is empty', 'Download it again.');
  const first = reader.again(0, Math.min(size, 512));
  const text = first.toString('latin1');
  if (text.startsWith('GGUF')) return 'gguf';
  // Before all others: a safetensors file begins with the length of its header, which can be any number, those that other
  // formats begin with included. None of them has a JSON object behind a length that small.
  if (first.length >= 9 && first.readBigUInt64LE() <= BigInt(maxHeaderBytes) && /^\s*\{/.test(text.slice(8)))
    return 'safetensors';
  if (text.startsWith('FUGG'))
    throw unsupported(path, 'a big-endian GGUF file', 'Get the little-endian file.');
  if (/^(ggml|lmgg|fmgg|tjgg|ggjt|ggmf)/.test(text))
    throw unsupported(path, 'a ggml file from before GGUF', 'Get the model as GGUF or safetensors.');
  if (text.startsWith('version https://git-lfs')) {
    throw invalid(
      path,
      'this is a git-lfs pointer, not the model itself',
      'Run `git lfs pull` in its repository, or download the file from its page.',
    );
  }
  if (/^\s*(<!doctype|<html|<\?xml|<head|<body)/i.test(text)) {
    throw invalid(
      path,
      'this is a web page, not a model: the download got a login or error page',
      'Download the file itself; it may need an access token.',
    );
  }
  if (text.startsWith('PK'))
    throw unsupported(path, 'a zip archive, the form of pickled PyTorch checkpoints', convert);
  if (first[0] === 0x80 && first[1]! >= 2 && first[1]! <= 5)
    throw unsupported(path, 'a pickled checkpoint', convert);
  if (text.startsWith('\x89HDF')) throw unsupported(path, 'an HDF5 file', 'Get the model as safetensors.');
  if (archives.some((magic) => text.startsWith(magic)))
    throw unsupported(path, 'a packed archive', 'Unpack it first.');
  if (/^\s*[{[]/.test(text)) throw invalid(path, 'this is a JSON file, not a file of weights');
  if (size < 9) throw invalid(path, `the file has ${size} bytes, too few for a model`, 'Download it again.');
  throw invalid(
    path,
    `this is neither GGUF nor safetensors: it begins with ${[...first.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}`,
    'ImageForge reads .gguf and .safetensors files.',
  );
}

function unsupported(path: string, what: string, hint: string): ImageForgeError {
  return new ImageForgeError('UNSUPPORTED', `${path} is ${what}; ImageForge reads GGUF and safetensors`, {
    hint,
    details: { file: path },
  });
}
