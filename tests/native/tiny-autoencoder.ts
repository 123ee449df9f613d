// An autoencoder with few channels and random weights: cheap to write, and at a large size slow enough to be aborted.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AutoencoderConfig } from '../../src/families/networks/autoencoder.js';
import type { TensorEntry, Weights } from '../../src/native/addon.js';
import { randomFloats } from './tiny-clip.js';

export const tinyAutoencoder: AutoencoderConfig = {
  channels: [32, 32, 32, 32],
  resBlocks: 1,
  latentChannels: 4,
  scale: 1,
  shift: 0,
  normGroups: 32,
  quantConv: false,
};

/** Weights for `config`, whose levels must all be equally wide. */
export function writeTinyAutoencoder(folder: string, config = tinyAutoencoder): Weights {
  const width = config.channels[0]!;
  const levels = config.channels.map((_, i) => i);
  const tensors: TensorEntry[] = [];
  const parts: Buffer[] = [];
  let offset = 0;
  const add = (name: string, ...shape: number[]) => {
    const values = randomFloats(shape.reduce((a, b) => a * b, 1));
    tensors.push({ name, file: 0, offset, type: 'f32', shape });
    parts.push(Buffer.from(values.buffer));
    offset += values.byteLength;
  };
  const norm = (name: string) => {
    add(`${name}.weight`, width);
    add(`${name}.bias`, width);
  };
  const conv = (name: string, from = width, to = width, kernel = 3) => {
    add(`${name}.weight`, to, from, kernel, kernel);
    add(`${name}.bias`, to);
  };
  const block = (name: string) => {
    for (const i of [1, 2]) {
      norm(`${name}.norm${i}`);
      conv(`${name}.conv${i}`);
    }
  };
  for (const half of ['encoder', 'decoder']) {
    const encodes = half === 'encoder';
    conv(`${half}.conv_in`, encodes ? 3 : config.latentChannels);
    block(`${half}.mid.block_1`);
    block(`${half}.mid.block_2`);
    norm(`${half}.mid.attn_1.norm`);
    for (const leaf of ['q', 'k', 'v', 'proj_out']) conv(`${half}.mid.attn_1.${leaf}`, width, width, 1);
    for (const i of levels) {
      const level = `${half}.${encodes ? 'down' : 'up'}.${i}`;
      for (let j = 0; j < (encodes ? 1 : 2); j++) block(`${level}.block.${j}`);
      if (encodes && i + 1 < levels.length) conv(`${level}.downsample.conv`);
      if (!encodes && i > 0) conv(`${level}.upsample.conv`);
    }
    norm(`${half}.norm_out`);
    conv(`${half}.conv_out`, width, encodes ? 2 * config.latentChannels : 3);
  }
  const file = join(folder, `autoencoder-${width}.bin`);
  writeFileSync(file, Buffer.concat(parts));
  return { files: [file], tensors };
}
