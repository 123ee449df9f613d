// Reads sharded safetensors: an index (model.safetensors.index.json) says which file has which tensor.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ImageForgeError } from '../shared/errors.js';
import { unreadable } from './byte-reader.js';
import { invalid } from './check-tensors.js';
import { readJson } from './read-json.js';
import { readWeightFile } from './read-weight-file.js';
import type { WeightFile } from './types.js';

const maxShards = 1024;

/** Reads all shards that the index at `path` names. A shard may have more tensors than the index lists, never fewer. */
export async function readShards(path: string): Promise<WeightFile[]> {
  const index = readJson(path);
  if (!index) throw unreadable(path, Object.assign(new Error('missing'), { code: 'ENOENT' }));
  const map = index.weight_map;
  if (typeof map !== 'object' || map === null)
    throw invalid(path, 'weight_map is missing: this is no index of shards');
  const tensorsOf = new Map<string, string[]>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== 'string' || /[/\\]/.test(shard) || shard === '..')
      throw invalid(path, `the shard of tensor ${tensor} should be a file name; ${String(shard)} was found`);
    const tensors = tensorsOf.get(shard);
    if (tensors) tensors.push(tensor);
    else tensorsOf.set(shard, [tensor]);
  }
  if (tensorsOf.size > maxShards)
    throw invalid(path, `it names ${tensorsOf.size} shards; at most ${maxShards} are read`);
  const files: WeightFile[] = [];
  const seen = new Map<string, string>();
  for (const [shard, tensors] of tensorsOf) {
    const file = await readShard(join(dirname(path), shard), path, tensorsOf.size);
    for (const tensor of tensors)
      if (!file.tensors.has(tensor))
        throw invalid(file.path, `tensor ${tensor} is missing, which ${path} places here`);
    for (const name of file.tensors.keys()) {
      const other = seen.get(name);
      if (other !== undefined) throw invalid(file.path, `tensor ${name} is also in ${other}`);
      seen.set(name, shard);
    }
    files.push(file);
  }
  return files;
}

async function readShard(path: string, index: string, shards: number): Promise<WeightFile> {
  if (!existsSync(path)) {
    throw new ImageForgeError(
      'MODEL_INCOMPLETE',
      `the shard ${path} is missing; ${index} names ${shards} shards`,
      {
        hint: 'Download the missing shard into the same folder.',
        details: { file: path },
      },
    );
  }
  return readWeightFile(path);
}
