// A text encoder small enough to be written by a test: random weights in one raw file and the table that describes it.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClipConfig } from '../../src/families/networks/clip.js';
import type { TensorEntry, Weights } from '../../src/native/addon.js';

export const tinyClip: ClipConfig = {
  width: 32,
  layers: 2,
  heads: 2,
  intermediate: 64,
  vocab: 100,
  positions: 77,
  activation: 'quick_gelu',
  endToken: 99,
  projection: 0,
};

/** Makes a folder that `dispose` removes. */
export function temporaryFolder(): { path: string; dispose(): void } {
  const path = mkdtempSync(join(tmpdir(), 'imageforge-test-'));
  return { path, dispose: () => rmSync(path, { recursive: true, force: true }) };
}

/** Writes the weights of `config` as F32 and returns their table. */
export function writeTinyClip(folder: string, config = tinyClip, name = 'clip.bin'): Weights {
  const shapes: Record<string, number[]> = {
    'text_model.embeddings.token_embedding.weight': [config.vocab, config.width],
    'text_model.embeddings.position_embedding.weight': [config.positions, config.width],
    'text_model.final_layer_norm.weight': [config.width],
    'text_model.final_layer_norm.bias': [config.width],
  };
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `text_model.encoder.layers.${layer}`;
    for (const norm of ['layer_norm1', 'layer_norm2'])
      for (const leaf of ['weight', 'bias']) shapes[`${at}.${norm}.${leaf}`] = [config.width];
    for (const linear of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      shapes[`${at}.self_attn.${linear}.weight`] = [config.width, config.width];
      shapes[`${at}.self_attn.${linear}.bias`] = [config.width];
    }
    shapes[`${at}.mlp.fc1.weight`] = [config.intermediate, config.width];
    shapes[`${at}.mlp.fc1.bias`] = [config.intermediate];
    shapes[`${at}.mlp.fc2.weight`] = [config.width, config.intermediate];
    shapes[`${at}.mlp.fc2.bias`] = [config.width];
  }
  const tensors: TensorEntry[] = [];
  const parts: Buffer[] = [];
  let offset = 0;
  for (const [tensor, shape] of Object.entries(shapes)) {
    const values = randomFloats(shape.reduce((a, b) => a * b, 1));
    tensors.push({ name: tensor, file: 0, offset, type: 'f32', shape });
    parts.push(Buffer.from(values.buffer));
    offset += values.byteLength;
  }
  const file = join(folder, name);
  writeFileSync(file, Buffer.concat(parts));
  return { files: [file], tensors };
}

/** From -0.5 to 0.5. */
export function randomFloats(count: number): Float32Array {
  const bytes = randomBytes(count * 2);
  return Float32Array.from({ length: count }, (_, i) => bytes.readUInt16LE(i * 2) / 65535 - 0.5);
}

export function tokenRow(length = 77): Int32Array {
  return Int32Array.from({ length }, (_, i) => (i === length - 1 ? 99 : (i * 7) % 90));
}
